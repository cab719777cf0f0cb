"""Commands for the secret keys: `flask --app api keys status, rotate`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import click

from api.access import audit
from api.commands.base import WRONG, Group, as_json, print_note, print_result
from api.commands.text import columns, number
from api.service import service
from common.audit import ActionKind, Subject
from common.vault import rotation


@dataclass(frozen=True, kw_only=True)
class KeyShown:
    """A key. `position` is its position in SECRET_KEYS, counted from 1, where the first encrypts; None if missing."""

    key_id: str
    position: int | None
    secrets: int
    kept_answers: int

    @property
    def is_removable(self) -> bool:
        return self.position not in (None, 1) and not self.secrets and not self.kept_answers

    @property
    def place(self) -> str:
        if self.position is None:
            return "not in SECRET_KEYS"
        return f"number {self.position}{', encrypts' if self.position == 1 else ''}"

    @property
    def advice(self) -> str:
        if self.position is None:
            return "these cannot be decrypted: restore the key, or wait a day until they have expired"
        return "can be removed" if self.is_removable else ""


@click.group(cls=Group)
def keys() -> None:
    """The keys of SECRET_KEYS, and their rotation.

    \b
    Rotation takes four steps. After each change of SECRET_KEYS, restart all API and worker processes:
      1. add the new key after the old one:    SECRET_KEYS=old,new     all processes can decrypt with it
      2. move it to the front:                 SECRET_KEYS=new,old     it encrypts from now on
      3. flask --app api keys rotate           re-encrypts what the old key encrypted
      4. when `keys status` shows that it can be removed, remove the old key:  SECRET_KEYS=new

    With a single process, or while nothing is running, skip step 1. Rate limits for logins and sign-ups are counted
    under the first key, so they restart after step 2.
    """


@keys.command("status")
@as_json
def status(is_json: bool) -> None:
    """Show what each key encrypts, and which keys can be removed.

    Keys are shown by an ID that does not reveal them. Exit code 1 if no key in SECRET_KEYS decrypts some rows.
    """
    shown = _shown(service().db.read(rotation.count))
    rows = [
        (each.key_id, each.place, number(each.secrets, "password"), number(each.kept_answers, "answer"), each.advice)
        for each in shown
    ]
    documents = [{**asdict(each), "removable": each.is_removable} for each in shown]
    print_result(is_json, documents, columns(rows, nothing=""))
    if any(each.position is None for each in shown):
        click.get_current_context().exit(WRONG)


@keys.command("rotate")
@as_json
def rotate(is_json: bool) -> None:
    """Re-encrypt with the first key what older keys encrypted.

    Works in small batches while other processes are running, and is safe to repeat. All processes must know the key
    already: see `flask --app api keys --help`. Exit code 1 if no key decrypts some rows; these stay unchanged.
    """
    first = Subject(kind="keys", id=service().vault.sealing_key_id)
    service().db.transaction(lambda session: audit.record(session, ActionKind.KEYS_ROTATE, first))
    done = unread = 0
    for some in rotation.reseal(service().db, service().vault):
        done, unread = done + some.done, unread + some.unread
        print_note(f"{number(done, 'row')} re-encrypted …")
    text = f"{number(done, 'row')} re-encrypted."
    if unread:
        text += f" {number(unread, 'row')} could not be decrypted. To see the keys: flask --app api keys status"
    print_result(is_json, {"resealed": done, "unread": unread}, text)
    if unread:
        click.get_current_context().exit(WRONG)


def _shown(counted: Mapping[str, Counter[str]]) -> list[KeyShown]:
    configured = service().vault.key_ids
    others = sorted(set(counted) - set(configured))
    return [
        KeyShown(
            key_id=key_id,
            position=configured.index(key_id) + 1 if key_id in configured else None,
            **{table.__tablename__: counted.get(key_id, Counter())[table.__tablename__] for table in rotation.SEALED},
        )
        for key_id in (*configured, *others)
    ]

"""flask --app api keys status, rotate"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import click

from api.commands.base import WRONG, Group, as_json, print_note, print_result
from api.commands.text import columns, number
from api.service import service
from common.vault import rotation


@dataclass(frozen=True, kw_only=True)
class KeyShown:
    """One key. `position` is its place in SECRET_KEYS, counted from 1: the first one seals. None: it is not there."""

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
        return f"number {self.position}{', seals' if self.position == 1 else ''}"

    @property
    def advice(self) -> str:
        if self.position is None:
            return "nobody can open these: put the key back, or wait a day until they have expired"
        return "may be removed" if self.is_removable else ""


@click.group(cls=Group)
def keys() -> None:
    """The keys of SECRET_KEYS, and how an old one is retired.

    \b
    Four steps, each with a restart of every API and worker process behind it where SECRET_KEYS changes:
      1. put the new key behind the old one:   SECRET_KEYS=old,new     everybody can open it
      2. put it in front:                      SECRET_KEYS=new,old     it seals from now on
      3. flask --app api keys rotate           what the old one sealed is sealed afresh
      4. once `keys status` says so, take the old key out:  SECRET_KEYS=new

    With a single process, or while nothing runs, step 1 can be left out. Limits on log-ins and sign-ups are counted
    under the newest key: after step 2 they begin anew.
    """


@keys.command("status")
@as_json
def status(is_json: bool) -> None:
    """Say what each key still seals, and which may be removed.

    Keys are shown by an id, from which nobody can tell them. Exit 1: there are rows that no key of SECRET_KEYS opens.
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
    """Seal afresh with the first key what older ones seal.

    Some rows at a time, beside running processes, as often as you like. All of them must have the key by now: see
    `flask --app api keys --help`. Exit 1: there are rows that no key opens, which stay as they are.
    """
    done = unread = 0
    for some in rotation.reseal(service().db, service().vault):
        done, unread = done + some.done, unread + some.unread
        print_note(f"{number(done, 'row')} sealed afresh …")
    text = f"{number(done, 'row')} sealed afresh."
    if unread:
        text += f" {number(unread, 'row')} could not be opened: flask --app api keys status"
    print_result(is_json, {"resealed": done, "unread": unread}, text)
    if unread:
        click.get_current_context().exit(WRONG)


def _shown(counted: Mapping[str, Counter[str]]) -> list[KeyShown]:
    ours = service().vault.key_ids
    others = sorted(set(counted) - set(ours))
    return [
        KeyShown(
            key_id=key_id,
            position=ours.index(key_id) + 1 if key_id in ours else None,
            **{table.__tablename__: counted.get(key_id, Counter())[table.__tablename__] for table in rotation.SEALED},
        )
        for key_id in (*ours, *others)
    ]

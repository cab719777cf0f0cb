"""A key is retired in four steps: nothing that it sealed is lost, and one knows when nothing needs it any more."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta

import pytest
from sqlalchemy import event, insert, select, update
from support.api import PASSWORD, V1, Api, newcomer, open_api
from support.commands import Operator
from support.world import Time

from common.database.engine import Database
from common.database.models import IdempotencyRecord, Secret
from common.vault import rotation
from common.vault.cipher import Vault

OLD, NEW = "the old key of thirty-two characters or more", "the new key of thirty-two characters or more"
OLD_ID, NEW_ID = (Vault([key]).sealing_key_id for key in (OLD, NEW))
KEY = {"Idempotency-Key": "9b2f7c1e-0000-4000-8000-000000000001"}

Open = Callable[..., AbstractContextManager[Api]]


@pytest.fixture
def opened(db_url: str, time: Time) -> Open:
    """Return a function that opens the API with these keys, newest first."""
    return lambda *keys: open_api(db_url, time, secret_keys=",".join(keys))


def _sealed_by(operator: Operator, exit_code: int = 0) -> dict[str, tuple[int | None, int, int, bool]]:
    return {
        each["key_id"]: (each["position"], each["secrets"], each["kept_answers"], each["removable"])
        for each in operator.reads("keys", "status", exit_code=exit_code)
    }


def test_after_a_rotation_the_old_key_is_not_needed_for_anything(opened: Open, db: Database) -> None:
    with opened(OLD) as api:
        first = api.visitor.post(f"{V1}/signup", json=newcomer("grace"), headers=KEY)
        before = _sealed_by(Operator(api))
    with opened(NEW, OLD) as api:
        with_both = _sealed_by(Operator(api))
        rotated = [Operator(api).reads("keys", "rotate") for _ in range(2)]
        after = _sealed_by(Operator(api))
    with opened(NEW) as api:
        again = api.visitor.post(f"{V1}/signup", json=newcomer("grace"), headers=KEY)
        secret = db.read(lambda session: session.scalars(select(Secret)).one())
        password = api.service.vault.open(secret.key_id, secret.sealed, job_id=secret.job_id, purpose=secret.purpose)

    assert before == {OLD_ID: (1, 1, 1, False)}
    assert with_both == {NEW_ID: (1, 0, 0, False), OLD_ID: (2, 1, 1, False)}
    assert rotated == [{"resealed": 2, "unread": 0}, {"resealed": 0, "unread": 0}]
    assert after == {NEW_ID: (1, 1, 1, False), OLD_ID: (2, 0, 0, True)}
    assert (again.data, again.headers["Idempotency-Replayed"], password) == (first.data, "true", PASSWORD)


def test_another_request_under_a_rotated_key_is_told_apart_as_before(opened: Open) -> None:
    with opened(OLD) as api:
        api.visitor.post(f"{V1}/signup", json=newcomer("grace"), headers=KEY)
    with opened(NEW, OLD) as api:
        Operator(api).types("keys", "rotate")
        others = [
            api.visitor.post(f"{V1}/signup", json=newcomer("grace", **change), headers=KEY)
            for change in ({"team": "ops"}, {"password": "another good phrase"})
        ]

    assert [(answer.status_code, answer.json["code"]) for answer in others] == [(422, "key_reused")] * 2


def test_what_no_key_opens_stays_and_is_said_to_stay(opened: Open, db: Database) -> None:
    with opened(OLD) as api:
        api.sign_up("grace")
    before = db.read(lambda session: session.scalars(select(Secret.sealed)).all())
    with opened(NEW) as api:
        operator = Operator(api)
        status = _sealed_by(operator, exit_code=1)
        rotated = operator.reads("keys", "rotate", exit_code=1)
        said = operator.types("keys", "status").stdout

    assert status == {NEW_ID: (1, 0, 0, False), OLD_ID: (None, 1, 0, False)}
    assert rotated == {"resealed": 0, "unread": 1}
    assert "not in SECRET_KEYS" in said
    assert db.read(lambda session: session.scalars(select(Secret.sealed)).all()) == before


def test_many_rows_are_sealed_afresh_in_pieces_with_some_among_them_that_cannot_be(db: Database) -> None:
    count, vault = 2 * rotation.ROWS + 7, Vault([NEW, OLD])
    rows = [_answer(f"key-{number:06}", db, damaged=number % 100 == 0) for number in range(count)]
    db.transaction(lambda session: session.execute(insert(IdempotencyRecord), rows))

    done = list(rotation.reseal(db, vault))

    assert [(each.done, each.unread) for each in done] == [(198, 2), (198, 2), (6, 1)]
    left = db.read(rotation.count)
    assert {key_id: tables["kept_answers"] for key_id, tables in left.items()} == {NEW_ID: 402, OLD_ID: 5}
    row = db.read(lambda session: session.get_one(IdempotencyRecord, ("anyone", "key-000406")))
    assert Vault([NEW]).open(row.key_id, row.sealed, job_id="anyone key-000406", purpose="answer") == "an answer"


def _answer(key: str, db: Database, *, damaged: bool) -> dict[str, object]:
    key_id, sealed = Vault([OLD]).seal("an answer", job_id=f"anyone {key}", purpose="answer")
    later = db.now() + timedelta(hours=1)
    kept = {"owner": "anyone", "key": key, "fingerprint": "f" * 64, "key_id": key_id, "expires_at": later}
    return {**kept, "sealed": b"" if damaged else sealed}


@pytest.mark.parametrize("db_url", ["mariadb"], indirect=True)  # on SQLite nobody else can write in between
def test_a_row_that_changes_meanwhile_is_not_put_back(opened: Open, db: Database, db_url: str) -> None:
    with opened(OLD) as api:
        api.sign_up("grace")
    somebody, vault = Database(db_url), Vault([NEW, OLD])

    @event.listens_for(db.engine, "before_cursor_execute")
    def change(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("UPDATE secrets"):
            somebody.transaction(lambda session: session.execute(update(Secret).values(sealed=b"of another attempt")))

    done = [each.done for each in rotation.reseal(db, vault)]

    somebody.dispose()
    assert done == [0]
    assert db.read(lambda session: session.execute(select(Secret.key_id, Secret.sealed)).one()) == (
        OLD_ID,
        b"of another attempt",
    )

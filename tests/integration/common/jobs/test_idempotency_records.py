"""What is past its time is deleted in pieces, and what was renewed in the meantime is not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session
from support.api import row_counts
from support.world import Time

from common.database import expiry
from common.database.engine import Database
from common.database.models import IdempotencyRecord, RateCount
from common.jobs import dispatch


def _add_tallies(db: Database, count: int, *, expires_in_s: float = 0, period: int = 1) -> None:
    expires_at = db.now() + timedelta(seconds=expires_in_s)
    rows = [{"bucket": f"{n:064x}", "period": period, "hits": 1, "expires_at": expires_at} for n in range(count)]
    db.transaction(lambda session: session.execute(insert(RateCount), rows))


def _add_answer(session: Session, db: Database, key: str, expires_in_s: float) -> None:
    session.add(
        IdempotencyRecord(
            owner="anyone", key=key, fingerprint="f" * 64, key_id="k" * 16, sealed=b"",
            expires_at=db.now() + timedelta(seconds=expires_in_s),
        )
    )  # fmt: skip


def test_what_is_over_goes_and_what_is_not_stays(db: Database) -> None:
    _add_tallies(db, 3)
    _add_tallies(db, 2, expires_in_s=0.001, period=2)
    db.transaction(lambda session: [_add_answer(session, db, f"key-{s}", s) for s in (-1, 0, 1)])

    dispatch.delete_expired(db)

    counts = row_counts(db)
    assert (counts["tallies"], counts["kept_answers"]) == (2, 1)


def test_a_heap_goes_over_several_calls(db: Database) -> None:
    heap = expiry.ROWS * expiry.BATCHES + 7
    _add_tallies(db, heap)

    left = []
    for _ in range(3):
        dispatch.delete_expired(db)
        left.append(row_counts(db)["tallies"])

    assert left == [7, 0, 0]


@pytest.mark.parametrize("db_url", ["mariadb"], indirect=True)  # on SQLite nobody else can write in between
def test_what_somebody_is_renewing_stays_and_holds_up_nothing_else(db: Database, db_url: str, time: Time) -> None:
    _add_tallies(db, 2)
    somebody = Database(db_url, now=time)
    later = update(RateCount).where(RateCount.bucket == f"{0:064x}").values(expires_at=time() + timedelta(hours=1))

    def renew(session: Session) -> None:
        session.execute(later)
        dispatch.delete_expired(db)

    somebody.transaction(renew)

    somebody.dispose()
    assert db.read(lambda session: session.scalars(select(RateCount.bucket)).all()) == [f"{0:064x}"]

"""What was done is counted over the edge of a period; of many at once no more get through than there is room for."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import event, func, select
from sqlalchemy.exc import OperationalError
from support.row_locks import finding_locks
from support.runs import runs
from support.world import Time

from api.access import rate_counter
from api.access.rate_counter import EPOCH, Permit, Quota, QuotaExceededError
from common.database import time_budget
from common.database.engine import Database
from common.database.models import RateCount
from common.jobs import dispatch

MINUTE = Quota(bucket="a" * 64, limit=10, window_s=60)
HOUR = Quota(bucket="b" * 64, limit=20, window_s=3600)
THREADS = 8


@pytest.fixture
def time() -> Time:
    """A clock at the beginning of an hour."""
    clock = Time()
    clock.advance(3600 - (clock() - EPOCH).total_seconds() % 3600)
    return clock


def _count_of(db: Database, quota: Quota, tries: int) -> int:
    """Try so often and return how many were let through."""
    return sum(_is_let_through(db, [quota]) for _ in range(tries))


def _is_let_through(db: Database, quotas: list[Quota]) -> bool:
    try:
        rate_counter.acquire(db, quotas)
    except QuotaExceededError:
        return False
    return True


def _hits(db: Database) -> int:
    return db.read(lambda session: session.scalar(select(func.sum(RateCount.hits)))) or 0


def test_the_limit_is_let_through_and_no_more(db: Database) -> None:
    assert _count_of(db, MINUTE, 15) == 10
    assert _hits(db) == 10, "a refusal is not counted"


def test_at_the_edge_of_a_period_nothing_is_forgotten(db: Database, time: Time) -> None:
    time.advance(59)
    assert _count_of(db, MINUTE, 10) == 10

    time.advance(1)

    assert _count_of(db, MINUTE, 1) == 0


@pytest.mark.parametrize(("later_s", "room"), [(6, 1), (30, 5), (57, 9), (60, 10), (600, 10)])
def test_room_comes_back_bit_by_bit(db: Database, time: Time, later_s: int, room: int) -> None:
    time.advance(59)
    _count_of(db, MINUTE, 10)
    time.advance(1)

    time.advance(later_s)

    assert _count_of(db, MINUTE, 15) == room


@pytest.mark.parametrize("seed", range(runs(4)))
def test_after_the_wait_there_is_room_and_a_second_earlier_there_is_none(db: Database, time: Time, seed: int) -> None:
    chance = random.Random(seed)
    quotas = [MINUTE, HOUR]

    for _ in range(60):
        time.advance(chance.choice([0, 0, 0.25, 3, 17, 400]))
        try:
            rate_counter.acquire(db, quotas)
        except QuotaExceededError as full:
            time.advance(full.retry_after_s - 1)
            assert not _is_let_through(db, quotas)
            time.advance(1)
            assert _is_let_through(db, quotas)


def test_the_wait_is_the_shortest_that_keeps_to_the_limit() -> None:
    window, cases = 12, [(before, hits, at) for before in range(8) for hits in range(6) for at in range(12)]

    for before, hits, at in cases:
        wait = rate_counter.us_until_allowed(before, hits, elapsed_us=at, window_us=window, limit=5)
        assert wait == next(t for t in range(99) if _fits(before, hits, at + t, window=window, limit=5))


def _fits(before: int, hits: int, at: int, *, window: int, limit: int) -> bool:
    if at >= window:
        before, hits, at = hits, 0, at - window
    if at >= window:
        before, at = 0, 0
    return before * (window - at) / window + hits + 1 <= limit + 1e-9


def test_when_one_quota_is_full_none_is_counted(db: Database) -> None:
    rate_counter.acquire(db, [MINUTE])
    before = _hits(db)

    let_through = _is_let_through(db, [HOUR, Quota(bucket=MINUTE.bucket, limit=1, window_s=60)])

    assert not let_through
    assert _hits(db) == before


def test_when_a_statement_fails_none_is_counted(db: Database) -> None:
    rate_counter.acquire(db, [MINUTE, HOUR])
    before = _hits(db)

    def fail_for_the_second(_c: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        if statement.startswith("UPDATE") and HOUR.bucket in str(parameters):
            raise OperationalError(statement, None, Exception("the server went away"))

    for engine in db.engines:
        event.listen(engine, "before_cursor_execute", fail_for_the_second)

    with pytest.raises(OperationalError):
        rate_counter.acquire(db, [MINUTE, HOUR])

    assert _hits(db) == before


def test_what_is_given_back_was_never_done(db: Database, time: Time) -> None:
    hits = [rate_counter.acquire(db, [MINUTE]) for _ in range(10)]
    time.advance(60)  # it is given back to the period it was taken in

    for hit in hits:
        rate_counter.release(db, hit)

    assert _hits(db) == 0
    assert _count_of(db, MINUTE, 11) == 10


def test_a_hit_is_given_back_when_the_time_of_the_request_is_used_up(db: Database) -> None:
    hits = rate_counter.acquire(db, [MINUTE])
    were_spent: list[bool] = []
    for engine in db.engines:
        event.listen(engine, "before_cursor_execute", lambda *_: were_spent.append(time_budget.is_spent()))

    time_budget.begin(0.0)
    try:
        rate_counter.release(db, hits)
        is_spent = time_budget.is_spent()
    finally:
        time_budget.end()

    assert set(were_spent) == {False}
    assert is_spent, "the request itself has no more time than before"
    assert _hits(db) == 0


def test_more_than_was_taken_cannot_be_given_back(db: Database) -> None:
    (hit,) = rate_counter.acquire(db, [MINUTE])

    rate_counter.release(db, [hit, hit, Permit(bucket="c" * 64, period=1)])

    assert _hits(db) == 0


def test_of_many_at_once_the_limit_is_let_through(db: Database) -> None:
    gate = Barrier(THREADS)

    def run(_: int) -> int:
        gate.wait()
        return _count_of(db, MINUTE, 10)

    with ThreadPoolExecutor(THREADS) as pool:
        assert sum(pool.map(run, range(THREADS))) == 10


def test_many_who_share_some_of_their_quotas_do_not_lock_each_other_up(db: Database) -> None:
    shared = Quota(bucket="5" * 64, limit=10_000, window_s=60)
    gate = Barrier(THREADS)

    def run(number: int) -> None:
        own = [Quota(bucket=digit * 64, limit=10_000, window_s=60) for digit in (f"{number:x}", f"{number + 8:x}")]
        gate.wait()
        for _ in range(10):
            rate_counter.release(db, rate_counter.acquire(db, [own[0], shared, own[1]]))

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(run, range(THREADS)))

    assert _hits(db) == 0


@pytest.mark.parametrize("db_url", ["mariadb"], indirect=True)
def test_a_caller_that_is_frozen_keeps_no_row_locked(db: Database, db_url: str) -> None:
    rate_counter.acquire(db, [MINUTE, HOUR])

    with finding_locks(db, db_url, RateCount) as found:
        rate_counter.release(db, rate_counter.acquire(db, [MINUTE, HOUR]))

    assert found == []


def test_a_hit_that_came_too_late_for_its_period_is_counted_in_the_next_one(db: Database, time: Time) -> None:
    began_at = time()

    def end_the_period(*_: object) -> None:
        if time() == began_at:
            time.advance(60)

    for engine in db.engines:
        event.listen(engine, "after_cursor_execute", end_the_period)

    (hit,) = rate_counter.acquire(db, [MINUTE])

    assert hit.period == (time() - EPOCH).total_seconds() // 60
    assert _hits(db) == 1


def test_a_period_is_kept_as_long_as_the_window_reaches_into_it(db: Database, time: Time) -> None:
    _count_of(db, MINUTE, 10)
    time.advance(119)
    dispatch.delete_expired(db)
    assert _hits(db) == 10

    time.advance(1)
    dispatch.delete_expired(db)

    assert _hits(db) == 0

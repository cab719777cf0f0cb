"""Sliding-window rate counters in the database, shared by all processes and hosts, with or without Redis.

Time is divided into periods as long as the window. The window that ends now contains the hits of the current period,
and the part of the previous period's hits that it still covers:

        previous period | current period
    ──────────[=========|======]──────▶
               window    elapsed ^ now
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from common.database.engine import Database, Now, retry_insert
from common.database.models import RateCount

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
S_US = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Quota:
    """At most `limit` hits (1 or more) of `bucket` in a window of `window_s`."""

    bucket: str
    limit: int
    window_s: int


@dataclass(frozen=True, kw_only=True)
class Permit:
    """One hit that `acquire` counted in `period` of `bucket`."""

    bucket: str
    period: int


class QuotaExceededError(Exception):
    """At least one quota is used up. After `retry_after_s` whole seconds, and not earlier, a hit fits all of them."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"quota exceeded for {retry_after_s} s")
        self.retry_after_s = retry_after_s


def acquire(db: Database, quotas: Sequence[Quota]) -> list[Permit]:
    """Count one hit in every quota, or in none of them. Raises QuotaExceededError.

    Concurrent callers cannot exceed a quota: the rows stay locked between reading and counting.
    """
    return retry_insert(lambda: db.transaction(partial(_acquire, db.now, quotas)))


def release(db: Database, permits: Sequence[Permit]) -> None:
    """Remove hits that `acquire` counted."""

    def work(session: Session) -> None:
        for permit in permits:
            is_row = (RateCount.bucket == permit.bucket, RateCount.period == permit.period, RateCount.hits > 0)
            session.execute(update(RateCount).where(*is_row).values(hits=RateCount.hits - 1))

    if permits:
        db.transaction(work)


def _acquire(clock: Now, quotas: Sequence[Quota], session: Session) -> list[Permit]:
    buckets = [quota.bucket for quota in quotas]
    counted = session.scalars(select(RateCount).where(RateCount.bucket.in_(buckets)).with_for_update())
    known = {(row.bucket, row.period): row for row in counted}
    now = clock()  # read under the lock: a caller that waited past the end of a period belongs to the next one
    wait_us = max((_wait_us(known, quota, now) for quota in quotas), default=0)
    if wait_us:
        raise QuotaExceededError(-(-wait_us // S_US))
    return [_count(session, known, quota, now) for quota in quotas]


def _wait_us(known: dict[tuple[str, int], RateCount], quota: Quota, now: datetime) -> int:
    period, elapsed_us = _period(quota, now)
    before, hits = (known[key].hits if (key := (quota.bucket, each)) in known else 0 for each in (period - 1, period))
    return us_until_allowed(before, hits, elapsed_us=elapsed_us, window_us=quota.window_s * S_US, limit=quota.limit)


def us_until_allowed(before: int, hits: int, *, elapsed_us: int, window_us: int, limit: int) -> int:
    """Return the microseconds until one more hit fits the limit, 0 for now. Integers keep the result exact.

    `before` and `hits` were counted in the previous and in the current period, which began `elapsed_us` ago.
    """
    left_us = window_us - elapsed_us
    if hits >= limit:  # not in this period; in the next one, these hits are `before`
        return left_us + us_until_allowed(hits, 0, elapsed_us=0, window_us=window_us, limit=limit)
    if not before:
        return 0
    allowed_us = (limit - 1 - hits) * window_us // before  # the window may cover this much of the previous period
    return max(0, left_us - allowed_us)


def _count(session: Session, known: dict[tuple[str, int], RateCount], quota: Quota, now: datetime) -> Permit:
    period, _ = _period(quota, now)
    row = known.get((quota.bucket, period))
    if row is not None:
        row.hits += 1
    else:
        ends_at = EPOCH + timedelta(
            seconds=(period + 2) * quota.window_s
        )  # until then it counts as the previous period
        session.add(RateCount(bucket=quota.bucket, period=period, hits=1, expires_at=ends_at))
    return Permit(bucket=quota.bucket, period=period)


def _period(quota: Quota, now: datetime) -> tuple[int, int]:
    """Return the number of the period and the microseconds since it began."""
    return divmod((now - EPOCH) // MICROSECOND, quota.window_s * S_US)

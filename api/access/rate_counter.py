"""Sliding-window rate counters in the database, shared by all processes and hosts, with or without Redis.

Time is divided into periods as long as the window. The window that ends now contains the hits of the current period,
and the part of the previous period's hits that it still covers:

        previous period | current period
    ──────────[=========|======]──────▶
               window    elapsed ^ now
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session

from common.database import time_budget
from common.database.engine import Database
from common.database.models import RateCount
from common.database.repeats import CommitUnknownError

log = logging.getLogger(__name__)

Period = tuple[str, int]  # bucket, and number of the period
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
S_US = 1_000_000
TRIES = 5
RELEASE_S = 0.5


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

    Concurrent callers cannot exceed a quota: a statement counts each hit only while there is room. It commits by
    itself, so that a caller that is frozen keeps nobody waiting; one that dies between two of them has counted a hit,
    and one whose statement fails gives the hits before it back.
    """
    for _ in range(TRIES):
        now = db.now()  # before reading: by then, all hits of the previous period are counted
        known = db.read(partial(_counted, quotas))
        wait_us = max((_wait_us(known, quota, now) for quota in quotas), default=0)
        if wait_us:
            raise QuotaExceededError(-(-wait_us // S_US))
        permits: list[Permit] = []
        try:
            if _count_all(db, known, quotas, now, permits) and not _is_late(quotas, now, db.now()):
                return permits
        except BaseException:  # each hit is committed by now: there is no transaction to roll back
            release(db, permits)
            raise
        release(db, permits)
    raise QuotaExceededError(1)  # others are quicker all the time


def release(db: Database, permits: Sequence[Permit]) -> None:
    """Remove hits that `acquire` counted, if the database lets us: nothing fails because a hit stays.

    What comes before may have used up the time of the request, so this has its own.
    """
    try:
        with time_budget.own(RELEASE_S):
            for permit in permits:
                is_row = (RateCount.bucket == permit.bucket, RateCount.period == permit.period, RateCount.hits > 0)
                db.execute(update(RateCount).where(*is_row).values(hits=RateCount.hits - 1))
    except (SQLAlchemyError, CommitUnknownError):
        log.warning("hits_not_released", exc_info=True)


def _counted(quotas: Sequence[Quota], session: Session) -> dict[Period, int]:
    rows = session.scalars(select(RateCount).where(RateCount.bucket.in_([quota.bucket for quota in quotas])))
    return {(row.bucket, row.period): row.hits for row in rows}


def _count_all(
    db: Database, known: Mapping[Period, int], quotas: Sequence[Quota], now: datetime, permits: list[Permit]
) -> bool:
    """Add each hit to `permits` as soon as it is counted. Returns False, with some missing, if others were quicker."""
    for quota in quotas:
        permit = _count(db, known, quota, now)
        if permit is None:
            return False
        permits.append(permit)
    return True


def _is_late(quotas: Sequence[Quota], counted_at: datetime, now: datetime) -> bool:
    """Say whether a period has ended meanwhile: those who read it as their previous one may not have seen our hit."""
    return any(_period(quota, counted_at)[0] != _period(quota, now)[0] for quota in quotas)


def _wait_us(known: Mapping[Period, int], quota: Quota, now: datetime) -> int:
    period, elapsed_us = _period(quota, now)
    before, hits = (known.get((quota.bucket, each), 0) for each in (period - 1, period))
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


def _count(db: Database, known: Mapping[Period, int], quota: Quota, now: datetime) -> Permit | None:
    """Count a hit, None if others were quicker. Counted twice if the answer to the statement is lost."""
    period, elapsed_us = _period(quota, now)
    permit = Permit(bucket=quota.bucket, period=period)
    if (quota.bucket, period) not in known:
        ends_at = EPOCH + timedelta(seconds=(period + 2) * quota.window_s)  # until then it is a previous period
        with suppress(IntegrityError):
            db.execute(insert(RateCount).values(bucket=quota.bucket, period=period, hits=1, expires_at=ends_at))
            return permit
    window_us = quota.window_s * S_US
    covered = -(-known.get((quota.bucket, period - 1), 0) * (window_us - elapsed_us) // window_us)
    has_room = (RateCount.bucket == quota.bucket, RateCount.period == period, RateCount.hits < quota.limit - covered)
    return permit if db.run(update(RateCount).where(*has_room).values(hits=RateCount.hits + 1)) else None


def _period(quota: Quota, now: datetime) -> tuple[int, int]:
    """Return the number of the period and the microseconds since it began."""
    return divmod((now - EPOCH) // MICROSECOND, quota.window_s * S_US)

"""Rate limits of the upstreams: each call reserves its turn in one row, so that all workers share one rate."""

from __future__ import annotations

import time

from common.admission import slots
from common.admission.slots import Limits
from common.database.engine import Database
from common.workflows import Upstream
from worker.upstreams.http import Deadline

SLOWER = 1.1  # than configured: a call that is delayed on the way must not exceed the rate with the one after it
LATE_S = 0.025  # a thread that wakes later than this after its turn reserves another
TURNS = 5  # a machine that never wakes in time has to continue, too


class RateLimiter:
    """Called before a call to an upstream; returns when it may be sent."""

    def __init__(self, db: Database, upstream: Upstream, calls_per_s: float) -> None:
        self._db = db
        self._upstream = upstream
        self._every_s = SLOWER / calls_per_s

    def __call__(self, deadline: Deadline | None) -> None:
        """Wait in this thread, briefly: the settings bound it. Raises Transient when the deadline comes first."""
        for _ in range(TURNS):
            until_s = self._take_turn()
            wait_s = max(0.0, until_s - time.monotonic())
            time.sleep(min(wait_s, deadline.remaining_s()) if deadline else wait_s)
            if deadline:
                deadline.remaining_s()
            if time.monotonic() - until_s <= LATE_S:
                return

    def _take_turn(self) -> float:
        """Return the next turn that nobody else has, on our monotonic clock."""
        at = slots.reserve_call(self._db, self._upstream, self._every_s)
        return time.monotonic() + (at - self._db.now()).total_seconds()  # less what the query took


def rate_limiters(db: Database, limits: Limits) -> dict[Upstream, RateLimiter]:
    """Return the limiter of every upstream whose rate is limited."""
    return {name: RateLimiter(db, name, limit.calls_per_s) for name, limit in limits.items() if limit.calls_per_s > 0}

"""When may the next call to an upstream go?  Told to all workers out of one row, so that they share one rate."""

from __future__ import annotations

import time

from common.admission import slots
from common.admission.slots import Limits
from common.database.engine import Database
from common.workflows import Upstream
from worker.upstreams.http import Deadline

SLOWER = 1.1  # than asked for: calls that are held up for a moment on the way must not catch up with those behind
LATE_S = 0.025  # whoever wakes later than this after its turn takes another
TURNS = 5  # a machine that never wakes in time has to go on, too


class RateLimiter:
    """Called before a call, returns when it is its turn."""

    def __init__(self, db: Database, upstream: Upstream, calls_per_s: float) -> None:
        self._db = db
        self._upstream = upstream
        self._every_s = SLOWER / calls_per_s

    def __call__(self, deadline: Deadline | None) -> None:
        """Wait in this thread, for a moment: the settings see to it. Raises Transient when the deadline is before."""
        for _ in range(TURNS):
            until_s = self._take_turn()
            wait_s = max(0.0, until_s - time.monotonic())
            time.sleep(min(wait_s, deadline.remaining_s()) if deadline else wait_s)
            if deadline:
                deadline.remaining_s()
            if time.monotonic() - until_s <= LATE_S:
                return

    def _take_turn(self) -> float:
        """Return the next moment that nobody else has, on our monotonic clock."""
        at = self._db.transaction(
            lambda session: slots.reserve_call(session, self._upstream, self._every_s, self._db.now)
        )
        return time.monotonic() + (at - self._db.now()).total_seconds()  # asking took a moment, too


def rate_limiters(db: Database, shares: Limits) -> dict[Upstream, RateLimiter]:
    """Return the pace of every upstream whose rate is limited."""
    return {name: RateLimiter(db, name, share.calls_per_s) for name, share in shares.items() if share.calls_per_s > 0}

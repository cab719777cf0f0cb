"""The leases of the attempts that this process runs, renewed by a thread while they run.

A process that dies, hangs as a whole or is cut off from the database renews nothing: its claims are lost after
`claims.LEASE_S`, and another worker goes on. A thread that hangs alone is not renewed for ever.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy.exc import DBAPIError

from common.database.engine import Database
from common.database.repeats import LOCK_WAIT
from common.jobs import claims
from common.jobs.claims import Claim
from common.uptime import uptime_s

log = logging.getLogger(__name__)

EVERY_S = 0.5  # how often the thread looks, so that it does not wait long for a database that is back
RENEW_AFTER_S = 2.0
ANSWERS_WITHIN_S = 2  # of the database: a connection that has gone silent must not cost the leases
RECORDS_WITHIN_S = 30.0  # how long an attempt waits for a database that is away
GRACE_S = RECORDS_WITHIN_S + 5.0  # an attempt that outlives its limit by more hangs


@dataclass(kw_only=True)
class _Held:
    claim: Claim
    began_at_s: float
    renewed_at_s: float
    tried_at_s: float = 0.0
    is_locked: bool = False  # the last renewal waited in vain: somebody else holds the row


class LeaseRenewal:
    """`keep` holds a claim while an attempt runs, `renew` is called again and again by a thread."""

    def __init__(self, db: Database, *, clock_s: Callable[[], float] = uptime_s) -> None:
        self._db = db
        self._clock_s = clock_s
        self._held: dict[str, _Held] = {}
        self._lock = threading.Lock()

    @contextmanager
    def keep(self, claim: Claim) -> Iterator[None]:
        """Keep the claim while the attempt runs inside."""
        now_s = self._clock_s()
        with self._lock:
            self._held[claim.token] = _Held(claim=claim, began_at_s=now_s, renewed_at_s=now_s)
        try:
            yield
        finally:
            self._forget(claim)

    def renew(self) -> None:
        """Renew what is old enough; a row that another session has locked delays at most one other round.

        Raises DBAPIError when the database is away: the next round tries again.
        """
        due = self._due()
        locked = sorted((held for held in due if held.is_locked), key=lambda each: each.tried_at_s)  # in turn
        for held in [*(held for held in due if not held.is_locked), *locked[:1]]:
            self._renew_one(held)

    def _due(self) -> list[_Held]:
        """Return what is to be renewed, the oldest first, and let go of what hangs."""
        now_s = self._clock_s()
        with self._lock:
            held = sorted(self._held.values(), key=lambda each: each.renewed_at_s)
        hanging = [each for each in held if now_s - each.began_at_s > each.claim.plan.limit_s + GRACE_S]
        for each in hanging:
            log.error("attempt_hangs", extra=_about(each.claim))
            self._forget(each.claim)
        return [each for each in held if each not in hanging and now_s - each.renewed_at_s >= RENEW_AFTER_S]

    def _renew_one(self, held: _Held) -> None:
        now_s = held.tried_at_s = self._clock_s()
        try:
            if not claims.renew(self._db, held.claim):
                self._forget(held.claim)  # it has just been ended, or was lost: the next write will show which
        except DBAPIError as error:
            held.is_locked = error.orig is not None and error.orig.args[:1] == (LOCK_WAIT,)
            if not held.is_locked:
                raise
            log.warning("lease_not_renewed", extra=_about(held.claim))
        else:
            held.is_locked, held.renewed_at_s = False, now_s

    def _forget(self, claim: Claim) -> None:
        with self._lock:
            self._held.pop(claim.token, None)


def _about(claim: Claim) -> dict[str, str]:
    return {"job_id": claim.job.id, "step": claim.step.name}

"""The clock: a thread in every worker that dispatches what is due.

Due are lanes that were never sent, retries and polls whose time has come, leases that ran out, and parked steps that
may run now. Any number of clocks may tick at once; each row goes to one of them. Each round first ends the leases of
dead workers of this host.

It sends to the broker, or, while the broker does not serve this worker, to the worker's own threads.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Protocol

from sqlalchemy.exc import SQLAlchemyError

from common.admission import slots
from common.admission.slots import Limits
from common.broker import Publisher
from common.database.engine import Database
from common.database.repeats import CommitUnknownError, is_away
from common.jobs import dispatch, signup_reviews
from common.jobs.lane_messages import LaneMessage
from common.uptime import uptime_s
from worker.broker_link import BrokerLink
from worker.direct_lanes import DirectLanes
from worker.liveness import WorkerRegister

log = logging.getLogger(__name__)

TICK_S = 0.5
BATCH = 100
CLEAN_EVERY_S = 60.0
OVERTAKEN_EVERY_S = 5.0  # a look for steps whose time was set before the database's clock was set back
LEFT_FOR_S = 3.0  # several rounds of a thread that renews leases


class Sender(Protocol):
    """Whoever takes lanes: the publisher, or our own threads."""

    def send(self, lanes: Iterable[LaneMessage]) -> int:
        """Return how many were taken."""

    def backlog(self) -> Collection[str]:
        """Return the queues in which messages wait."""


class Clock:
    """`tick` does one round; in a worker a PeriodicThread calls it."""

    def __init__(
        self,
        db: Database,
        publisher: Publisher,
        register: WorkerRegister,
        limits: Limits,
        link: BrokerLink,
        *,
        clock_s: Callable[[], float] = uptime_s,
    ) -> None:
        self._db = db
        self._publisher = publisher
        self._link = link
        self._register = register
        self._limits = limits
        self._clock_s = clock_s
        self._clean_at = 0.0
        self._overtaken_at = 0.0
        self._takes_over_at_s = -math.inf
        self._has_warned = False
        self._is_prepared = False
        self.direct: DirectLanes | None = None  # set once the worker knows its threads and queues
        self.has_parked = False  # as of the last round: some step waits for its upstream

    def tick(self) -> int:
        """Send what is due and return how many lanes went out.

        When the database was away, nobody could renew a lease: those that ran out meanwhile are left to the workers
        that had them, which are about to renew them, for `LEFT_FOR_S`.
        """
        try:
            return self._tick()
        except (SQLAlchemyError, CommitUnknownError) as error:
            if is_away(error):
                self._takes_over_at_s = self._clock_s() + LEFT_FOR_S
            raise

    def _tick(self) -> int:
        if not self._is_prepared:
            slots.prepare(self._db, self._limits)
            self._is_prepared = True
        if time.monotonic() >= self._clean_at:
            self._clean_at = time.monotonic() + CLEAN_EVERY_S
            dispatch.delete_expired(self._db)
            dispatch.send_long_held(self._db)
            signup_reviews.expire(self._db)
        self._release_dead_workers()
        if self._link.is_lost or self._publisher.is_resting:
            return self._run_directly()
        return self._dispatch(self._publisher, limit=BATCH)

    def _run_directly(self) -> int:
        """Begin as many lanes as there are free threads; what is due beyond that stays due, for any worker."""
        room = self.direct.room if self.direct else 0
        if self.direct is None or not room:
            return 0
        return self._dispatch(self.direct, limit=room, queues=self.direct.queues)

    def _dispatch(self, sender: Sender, *, limit: int, queues: Collection[str] | None = None) -> int:
        takes_over = self._clock_s() >= self._takes_over_at_s
        due = dispatch.take_due(self._db, limit=limit, queues=queues, takes_over=takes_over, backlog=sender.backlog)
        sent = self._send(sender, due)
        if time.monotonic() >= self._overtaken_at and sent < limit:
            self._overtaken_at = time.monotonic() + OVERTAKEN_EVERY_S
            sent += self._send(sender, dispatch.take_overtaken(self._db, limit=limit - sent, queues=queues))
        self.has_parked = self._db.read(slots.has_parked)
        if self.has_parked and sent < limit:
            parked = dispatch.take_parked(self._db, self._limits, limit=limit - sent, queues=queues)
            sent += self._send(sender, parked)
        return sent

    def _send(self, sender: Sender, lanes: Sequence[LaneMessage]) -> int:
        """Send what was taken at once, and put back what could not be sent."""
        sent = sender.send(lanes)
        dispatch.put_back(self._db, lanes[sent:])
        return sent

    def _release_dead_workers(self) -> None:
        """Release what dead workers of this host held; without the directory, their leases run out instead."""
        try:
            self._release_dead_worker()
        except OSError as error:
            if not self._has_warned:
                log.warning("liveness_unavailable", extra={"error": str(error)})
            self._has_warned = True

    def _release_dead_worker(self) -> None:
        for worker in self._register.dead():
            released = dispatch.release_worker(self._db, worker)
            if released.leases or released.is_all:
                log.warning("worker_dead", extra={"worker": worker, "released": released.leases})
            if released.is_all:  # after the release: if this one dies in between, the next clock repeats it
                self._register.remove(worker)

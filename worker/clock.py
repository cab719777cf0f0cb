"""What is due, and who sends it again?

A thread in every worker asks the database for lanes whose time has come: never sent, retries and polls that are
due, leases that ran out, steps that were held back and may go now. Any number of clocks may tick at once; each row
goes to one of them. Before it asks, it ends the leases of workers of this host that are known to be dead.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from common.admission import slots
from common.admission.slots import Limits
from common.broker import Publisher
from common.database.engine import Database
from common.jobs import dispatch
from common.jobs.lane_messages import LaneMessage
from worker.liveness import WorkerRegister

log = logging.getLogger(__name__)

TICK_S = 0.5
BATCH = 100
CLEAN_EVERY_S = 60.0


class Clock:
    """`tick` does one round for whoever calls it; a Ticker does in a worker."""

    def __init__(self, db: Database, publisher: Publisher, register: WorkerRegister, shares: Limits) -> None:
        self._db = db
        self._publisher = publisher
        self._register = register
        self._shares = shares
        self._clean_at = 0.0
        self._has_warned = False
        self._is_prepared = False
        self.has_parked = False  # as of the last round: some step waits for room at its upstream

    def tick(self) -> int:
        """Send what is due and return how many lanes went out."""
        if not self._is_prepared:
            slots.prepare(self._db, self._shares)
            self._is_prepared = True
        if time.monotonic() >= self._clean_at:
            self._clean_at = time.monotonic() + CLEAN_EVERY_S
            dispatch.delete_expired(self._db)
        self._release_dead_workers()
        if self._publisher.is_resting:
            return 0  # what is taken now would not go out, and would be taken ever more rarely
        sent = self._send(dispatch.take_due(self._db, limit=BATCH))
        self.has_parked = self._db.read(slots.has_parked)
        if self.has_parked:
            sent += self._send(dispatch.take_parked(self._db, self._shares))
        return sent

    def _send(self, lanes: Sequence[LaneMessage]) -> int:
        """Send what was taken, at once: what is taken and not sent waits for the next time it is due."""
        sent = self._publisher.send(lanes)
        dispatch.put_back(self._db, lanes[sent:])
        return sent

    def _release_dead_workers(self) -> None:
        """Release what dead workers of this host held; where the directory is gone, their leases run out instead."""
        try:
            self._release_dead_worker()
        except OSError as error:
            if not self._has_warned:
                log.warning("liveness_unavailable", extra={"error": str(error)})
            self._has_warned = True

    def _release_dead_worker(self) -> None:
        for worker in self._register.dead():
            released = dispatch.release_worker(self._db, worker)
            self._register.strike_off(worker)  # after the release: who dies in between leaves it to the next clock
            log.warning("worker_dead", extra={"worker": worker, "released": released})

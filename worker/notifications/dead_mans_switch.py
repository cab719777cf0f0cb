"""The heartbeat that an outside service waits for, and raises the alarm without: a dead man's switch.

It is sent while the database answers and what is due is dispatched, by one worker at a time. Nothing inside can say
that everything is down.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Protocol

from sqlalchemy import func, select

from common.database.engine import Database
from common.database.models import Step
from common.notifications import queues
from worker.notifications.sender import Response, target_of

log = logging.getLogger(__name__)

EVERY_S = 60.0
AGAIN_AFTER_S = 10.0  # when it did not arrive
LAG_S = 60.0  # so long the oldest due step may wait for a clock


class Gets(Protocol):
    """What sends a request; a test passes its own."""

    def get(self, url: str) -> Response: ...


class DeadMansSwitch:
    """Any number may run, one in each worker: one of them sends at a time."""

    def __init__(self, db: Database, url: str, sender: Gets) -> None:
        self._db = db
        self._target = target_of(url)
        self._url = url
        self._sender = sender
        self._is_prepared = False

    def run(self) -> None:
        """Send the heartbeat if it is due and all is well."""
        if not self._is_prepared:
            queues.prepare(self._db, [self._target])
            self._is_prepared = True
        if not queues.is_due(self._db, self._target) or self._is_behind():
            return
        claimed = queues.claim(self._db, self._target)
        if claimed is None:
            return
        problem = self._sender.get(self._url).problem
        if problem:
            log.warning("heartbeat_not_accepted", extra={"target": self._target.host, "reason": problem})
        queues.rest(self._db, claimed, problem=problem, pause_s=AGAIN_AFTER_S if problem else EVERY_S)

    def _is_behind(self) -> bool:
        """Say whether no clock dispatches what is due."""
        oldest = self._db.read(lambda session: session.scalar(select(func.min(Step.nudge_at))))
        return oldest is not None and oldest < self._db.now() - timedelta(seconds=LAG_S)

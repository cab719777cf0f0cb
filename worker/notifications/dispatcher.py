"""The dispatcher of one target: sends what is in its queue, in order, and waits longer after each failure.

It has a thread of its own, so a target that is slow or away delays neither a job nor another target.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import Protocol

from common.database.engine import Database
from common.notifications import queues
from common.notifications.queues import Due, Target, TargetClaim
from common.telemetry.metrics import NOTIFICATIONS
from worker.notifications.sender import Response
from worker.notifications.signature import Signer

log = logging.getLogger(__name__)

AT_ONCE = 100  # notifications in one round


class Posts(Protocol):
    """What sends a request; a test passes its own."""

    def post(self, url: str, body: bytes, headers: dict[str, str]) -> Response: ...


class Dispatcher:
    """Any number may run for a target, one in each worker: one of them sends at a time."""

    def __init__(
        self,
        db: Database,
        target: Target,
        url: str,
        sender: Posts,
        signer: Signer,
        *,
        jitter: Callable[[], float] = lambda: random.uniform(0.8, 1.2),  # noqa: S311 - spreads retries, guards nothing
    ) -> None:
        self._db = db
        self._target = target
        self._url = url
        self._sender = sender
        self._signer = signer
        self._jitter = jitter

    def run(self) -> None:
        """Send what waits, until the queue is empty or the target does not accept something."""
        if not queues.has_deliveries(self._db, self._target):
            return
        claimed = queues.claim(self._db, self._target)
        if claimed is None:
            return
        for _ in range(AT_ONCE):
            due = queues.next_delivery(self._db, claimed)
            if due is None or not self._deliver(claimed, due):
                break
        queues.release(self._db, claimed)

    def _deliver(self, claimed: TargetClaim, due: Due) -> bool:
        """Return whether the next one may follow."""
        about = {"target": self._target.host, "notification": due.id, "kind": due.kind}
        if due.is_expired:
            log.error("notification_dropped", extra={**about, "attempts": due.attempt - 1})
            NOTIFICATIONS.labels("dropped").inc()
            return queues.drop(self._db, claimed, due)
        body = due.body.encode()
        headers = self._signer.headers(due.id, body, at_s=int(self._db.now().timestamp()))
        answer = self._sender.post(self._url, body, headers)
        if answer.problem:
            NOTIFICATIONS.labels("refused").inc()
            log.warning("notification_not_accepted", extra={**about, "attempt": due.attempt, "reason": answer.problem})
            queues.record_refused(
                self._db,
                claimed,
                due,
                reason=answer.problem,
                jitter=self._jitter(),
                retry_after_s=answer.retry_after_s,
            )
            return False
        NOTIFICATIONS.labels("accepted").inc()
        return queues.record_accepted(self._db, claimed, due)

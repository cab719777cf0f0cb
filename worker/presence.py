"""The presence of worker processes in the database: which of them run, also on other hosts, and since when."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, update

from common.database.engine import Database, matched, retry_insert
from common.database.models import WorkerPresence

EVERY_S = 10.0
FORGOTTEN_AFTER = timedelta(days=1)  # so long a worker that died is shown


class Presence:
    """`show` is called periodically while the worker runs, `leave` when it ends."""

    def __init__(self, db: Database, name: str, *, concurrency: int) -> None:
        self._db = db
        self._name = name
        self._concurrency = concurrency
        self._is_new = True

    def show(self) -> None:
        """Write that this worker runs; the first time, forget those that died long ago."""
        now = self._db.now()
        if self._is_new:
            self._db.execute(delete(WorkerPresence).where(WorkerPresence.seen_at < now - FORGOTTEN_AFTER))
        seen = update(WorkerPresence).where(WorkerPresence.name == self._name).values(seen_at=now)
        if not matched(self._db.execute(seen)):
            row = {"name": self._name, "concurrency": self._concurrency, "started_at": now, "seen_at": now}
            retry_insert(lambda: self._db.transaction(lambda session: session.merge(WorkerPresence(**row))))
        self._is_new = False

    def leave(self) -> None:
        """Forget this worker, which ends as it should."""
        self._db.execute(delete(WorkerPresence).where(WorkerPresence.name == self._name))

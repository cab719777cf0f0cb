"""The outbox: what operators are notified of is written in the transaction in which it happens.

So nothing is announced that was rolled back, and nothing is forgotten that was committed. Sending it is for later, and
for other threads: whoever runs a job only adds a row. Which kinds are wanted is known to every session of the process
(`announce`); of the others, nothing is written.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Executable, insert
from sqlalchemy.orm import Session

from common.database.engine import Database, matched
from common.database.ids import new_id
from common.database.models import Base
from common.states import JobState, NotificationKind

RETENTION = timedelta(days=7)  # so long a target may be away without losing anything
ROW_LIFETIME = RETENTION + timedelta(days=2)  # it outlives the queues, which refer to it

ENDED = {
    JobState.SUCCEEDED: NotificationKind.JOB_SUCCEEDED,
    JobState.FAILED: NotificationKind.JOB_FAILED,
    JobState.CANCELLED: NotificationKind.JOB_CANCELLED,
}
_WANTED = "notifications"  # the key in the `info` of a session
_ADD = insert(Base.metadata.tables["notifications"]).inline()


def announce(db: Database, kinds: Collection[NotificationKind]) -> None:
    """Let everything of these kinds that happens through this database be written to the outbox."""
    db.session_info[_WANTED] = frozenset(kinds)


@dataclass(frozen=True)
class News:
    """What a change of an upstream means to operators."""

    kind: NotificationKind
    about: Mapping[str, Any]
    now: datetime


def run(db: Database, change: Executable, news: News | None) -> bool:
    """Run one statement, and announce it if it matched a row. Returns whether it did.

    With news that somebody wants, it is a transaction, which keeps the row's lock for one statement more.
    """
    if news is None or news.kind not in db.session_info.get(_WANTED, ()):
        return bool(db.run(change))

    def work(session: Session) -> bool:
        is_changed = bool(matched(session.connection().execute(change)))
        if is_changed:
            add(session, news.kind, news.about, news.now)
        return is_changed

    return db.transaction(work)


def add_ended_job(session: Session, job_id: str, state: JobState, *, version: int, now: datetime) -> None:
    """Announce the end of a job, if that is wanted; `version` is that of the job afterwards."""
    add(session, ENDED[state], {"job_id": job_id, "version": version}, now)


def add(session: Session, kind: NotificationKind, about: Mapping[str, Any], now: datetime) -> None:
    """Announce something, if that is wanted."""
    if kind in session.info.get(_WANTED, ()):
        row = {"id": new_id(), "kind": kind.value, "about": dict(about), "at": now, "expires_at": now + ROW_LIFETIME}
        session.connection().execute(_ADD, row)

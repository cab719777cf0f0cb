"""Dispatch: which lanes are due, which leases ended with their worker, which rows have expired."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import case, select, update
from sqlalchemy.orm import Session

from common.admission import slots
from common.admission.slots import Limits, Sendable
from common.database import expiry
from common.database.engine import Database
from common.database.ids import EPOCH
from common.database.models import Attempt, Base, IdempotencyRecord, LoginSession, RateCount, Step
from common.jobs import lane_messages, lifecycle
from common.jobs.lane_messages import LaneMessage
from common.states import StepState
from common.vault import sealed_passwords

RESEND_DOUBLINGS = 6
LAST_CALL_S = 1.0  # what a dead worker had sent may still arrive: the next attempt starts after this, not before
EXPIRING: tuple[type[Base], ...] = (LoginSession, IdempotencyRecord, RateCount)


def take_due(db: Database, *, limit: int, queues: Collection[str] | None = None) -> list[LaneMessage]:
    """Return lanes whose head step is due and has no message that anyone acted on; each to one caller only.

    Safe to call from any number of clocks: a row goes to the one that moves its `nudge_at`. `queues` None: of all.
    """
    is_due = select(Step.id, Step.nudge_at, Step.nudges).where(Step.nudge_at <= db.now())
    if queues is not None:
        is_due = is_due.where(Step.upstream.in_(queues))
    rows = db.read(lambda session: list(session.execute(is_due.order_by(Step.nudge_at).limit(limit))))
    return _take(db, rows)


def take_parked(
    db: Database, limits: Limits, *, limit: int | None = None, queues: Collection[str] | None = None
) -> list[LaneMessage]:
    """Return lanes whose head step was held back and may go now; each to one caller only, as with `take_due`."""
    rows = db.read(lambda session: slots.admissible(session, limits, db.now(), on_the_way_s=lifecycle.RESEND_S))
    if queues is not None:
        ours = select(Step.id).where(Step.id.in_([row[0] for row in rows]), Step.upstream.in_(queues))
        ids = set(db.read(lambda session: session.scalars(ours).all()))
        rows = [row for row in rows if row[0] in ids]
    return _take(db, rows[:limit])


def _take(db: Database, rows: Sequence[Sendable]) -> list[LaneMessage]:
    def work(session: Session) -> list[LaneMessage]:
        now = db.now()
        return lane_messages.from_steps(session, [row[0] for row in rows if _is_mine(session, row, now)])

    return db.transaction(work) if rows else []


def _is_mine(session: Session, row: Sendable, now: datetime) -> bool:
    step_id, nudge_at, nudges = row
    is_as_seen = (Step.nudge_at.is_(None), *slots.IS_PARKED) if nudge_at is None else (Step.nudge_at == nudge_at,)
    again_at = now + timedelta(seconds=_resend_s(nudges))
    sent = update(Step).where(Step.id == step_id, *is_as_seen).values(nudge_at=again_at, nudges=nudges + 1)
    return _rowcount(session.execute(sent)) == 1


def put_back(db: Database, lanes: Sequence[LaneMessage]) -> None:
    """Undo `take_due` for lanes that could not be sent: they are due again at once, as if never taken."""
    if not lanes:
        return

    def work(session: Session) -> None:
        for lane in lanes:
            head = (Step.job_id == lane.job_id, Step.name == lane.steps[0], Step.nudge_at.is_not(None))
            fewer = case((Step.nudges > 0, Step.nudges - 1), else_=0)
            session.execute(update(Step).where(*head).values(nudge_at=db.now(), nudges=fewer))

    db.transaction(work)


def release_worker(db: Database, worker: str) -> int:
    """End the leases of a worker that is known to be dead, and return how many. Safe to repeat, and by many at once."""
    held = db.read(
        lambda session: session.execute(
            select(Step.id, Step.job_id, Step.claim_token)
            .join(Attempt, (Attempt.step_id == Step.id) & (Attempt.number == Step.attempts))
            # A range, for the index: with IS NOT NULL SQLite would begin with all the attempts that ever were.
            .where(Step.nudge_at > EPOCH, Step.state == StepState.RUNNING, Attempt.worker == worker)
        ).all()
    )
    return sum(db.transaction(partial(_end_lease, db, *row)) for row in held)


def _end_lease(db: Database, step_id: str, job_id: str, token: str | None, session: Session) -> int:
    lifecycle.lock(session, job_id)
    until = db.now() + timedelta(seconds=LAST_CALL_S)
    slots.shorten(session, str(token), until)
    is_still_held = (Step.id == step_id, Step.claim_token == token, Step.lease_until > until)
    return _rowcount(session.execute(update(Step).where(*is_still_held).values(lease_until=until, nudge_at=until)))


def _resend_s(nudges: int) -> float:
    return float(lifecycle.RESEND_S * 2 ** min(nudges, RESEND_DOUBLINGS))


def _rowcount(result: Any) -> int:
    return int(result.rowcount)


def delete_expired(db: Database) -> None:
    """Delete what is past its time, whatever state its jobs and users are in.

    A few thousand rows at most, so that dispatching does not wait long. Safe to call from any number of clocks.
    """
    sealed_passwords.expire(db)
    for table in EXPIRING:
        expiry.delete_expired(db, table)

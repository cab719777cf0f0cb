"""Dispatch: which lanes are due, which leases ended with their worker, which rows have expired.

A row that somebody else has locked is left out: a process that is frozen in a transaction delays its own rows only.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, exists, not_, or_, select, update
from sqlalchemy.orm import Session

from common import horizons
from common.admission import outages, parking, slots
from common.admission.slots import Limits
from common.database import expiry
from common.database.engine import Database
from common.database.ids import EPOCH
from common.database.models import (
    ApiToken,
    Attempt,
    Base,
    IdempotencyRecord,
    Job,
    LoginSession,
    Mail,
    PasswordReset,
    RateCount,
    Step,
)
from common.jobs import lane_messages, lifecycle
from common.jobs.lane_messages import LaneMessage
from common.states import CLAIMABLE, StepState
from common.vault import sealed_passwords
from common.workflows import Upstream

RESEND_DOUBLINGS = 6
SECOND_AFTER_S = 8.0  # so long a step may wait in a queue for its first message, before a second one is sent
QUEUED_FOR_S = 20.0  # the same for the second message: it may have died with a worker, too
LOOK_AGAIN_S = SECOND_AFTER_S - lifecycle.RESEND_S
LEFT_AT_ONCE = 100  # rows that a clock which freezes may keep locked
LONG_HELD_AT_ONCE = 100
LAST_CALL_S = 1.0  # what a dead worker had sent may still arrive: the next attempt starts after this, not before
EXPIRING: tuple[type[Base], ...] = (LoginSession, ApiToken, PasswordReset, IdempotencyRecord, RateCount, Mail)


def take_due(
    db: Database,
    *,
    limit: int,
    queues: Collection[str] | None = None,
    takes_over: bool = True,
    backlog: Callable[[], Collection[str]] = tuple,
) -> list[LaneMessage]:
    """Return lanes whose head step is due and has no message that anyone acted on; each to one caller only.

    Safe to call from any number of clocks: a row goes to the one that moves its `nudge_at`. `queues` None: of all.
    Without `takes_over`, steps whose leases ran out are left to the workers that had them. `backlog`, asked only when
    something is due, returns the queues of the broker in which messages wait.
    """
    now = db.now()
    is_free = () if takes_over else (Step.state != StepState.RUNNING,)
    due = select(Step.id, Step.nudges).where(Step.nudge_at <= now, *is_free, *_of(queues)).order_by(Step.nudge_at)
    if db.read(lambda session: session.execute(due.limit(1)).first()) is None:
        return []  # most rounds: a transaction that writes would be for nothing
    if full := backlog():
        is_queued = _is_queued(full, now)
        _look_again_later(db, is_queued, now)
        due = due.where(not_(is_queued))  # there may be more of them than were moved
    return _take(db, due.limit(limit), now)


def _is_queued(queues: Collection[str], now: datetime) -> ColumnElement[bool]:
    """Say whether a step's message waits in one of these queues, as far as can be known.

    To send it again would make the queue longer, most of all when there is least room. But a message that died with
    the worker that had fetched it looks the same, so that each step gets a second one early. While queues are longer
    than `SECOND_AFTER_S`, this costs a step few messages that are refused in the end, instead of one after 5, 10, 20
    and 40 seconds. The loss of both costs a step up to `QUEUED_FOR_S`, which is often while workers die again and
    again.
    """
    after_s = ((Step.nudges == 1, SECOND_AFTER_S), (Step.nudges > 1, QUEUED_FOR_S))
    lately = (and_(sent, Step.due_at > now - timedelta(seconds=seconds)) for sent, seconds in after_s)
    is_possible = Step.due_at <= now + timedelta(seconds=horizons.SKEW_S)
    return and_(Step.due_at.is_not(None), Step.upstream.in_(queues), is_possible, or_(*lately))


def _look_again_later(db: Database, is_queued: ColumnElement[bool], now: datetime) -> None:
    queued = select(Step.id).where(Step.nudge_at <= now, is_queued).order_by(Step.nudge_at)
    locked = queued.limit(LEFT_AT_ONCE).with_for_update(skip_locked=True)
    later = now + timedelta(seconds=LOOK_AGAIN_S)
    db.transaction(lambda session: _set(session, session.scalars(locked).all(), nudge_at=later))


def take_overtaken(db: Database, *, limit: int, queues: Collection[str] | None = None) -> list[LaneMessage]:
    """Return lanes whose head step is due so far ahead that the clock must have been set back; as with `take_due`.

    It looks at every step that is due later than in a few seconds: once in a few seconds is enough.
    """
    now = db.now()
    is_later = Step.nudge_at > now + timedelta(seconds=lifecycle.RESEND_S)
    is_future = exists().where(Job.id == Step.job_id, Job.updated_at > now + timedelta(seconds=horizons.SKEW_S))
    far = now + timedelta(seconds=horizons.DELAY_S)
    after_sending = {n: now + timedelta(seconds=_resend_s(n)) for n in range(1, RESEND_DOUBLINGS)}
    is_too_far = Step.nudge_at > case(after_sending, value=Step.nudges, else_=far)
    wanted = select(Step.id).where(is_later, or_(is_future, is_too_far), *_of(queues)).order_by(Step.nudge_at)
    ids = db.read(lambda session: session.scalars(wanted.limit(limit)).all())
    return _take(db, select(Step.id, Step.nudges).where(Step.id.in_(ids), is_later), now) if ids else []


def take_parked(
    db: Database, limits: Limits, *, limit: int | None = None, queues: Collection[str] | None = None
) -> list[LaneMessage]:
    """Return lanes whose head step was held back and may go now; each to one caller only, as with `take_due`."""
    now = db.now()
    ids = db.read(lambda session: parking.admissible(session, limits, now, on_the_way_s=lifecycle.RESEND_S))
    if not ids:
        return []
    are_still_parked = (Step.id.in_(ids), Step.nudge_at.is_(None), *slots.IS_PARKED, *_of(queues))
    longest_first = select(Step.id, Step.nudges).where(*are_still_parked).order_by(Step.parked_at)
    return _take(db, longest_first.limit(limit), now)


def _of(queues: Collection[str] | None) -> tuple[ColumnElement[bool], ...]:
    return () if queues is None else (Step.upstream.in_(queues),)


def _take(db: Database, wanted: Select[str, int], now: datetime) -> list[LaneMessage]:
    """Take what nobody else has locked, in a short transaction: a process that is frozen in it holds the rows."""

    def work(session: Session) -> list[str]:
        nudges = {row.id: row.nudges for row in session.execute(wanted.with_for_update(skip_locked=True))}
        for wait_s in {_resend_s(count) for count in nudges.values()}:
            taken = [step_id for step_id, count in nudges.items() if _resend_s(count) == wait_s]
            _set(session, taken, nudge_at=now + timedelta(seconds=wait_s), nudges=Step.nudges + 1)
        return list(nudges)

    taken = db.transaction(work)
    return db.read(lambda session: lane_messages.from_steps(session, taken)) if taken else []


def send_long_held(db: Database) -> None:
    """Make the steps due that have waited too long for an outage or a refusal to end: the claim lets them fail.

    A hundred at most. Safe to call from any number of clocks.
    """
    now = db.now()
    since = now - timedelta(seconds=outages.LONGEST_HOLD_S)
    known = db.read(outages.read)
    holds = {queue: slots.hold_on_any(known, parking.visited_from(queue)) for queue in Upstream}
    long_held = [queue for queue, hold in holds.items() if hold and hold.since and hold.since <= since]
    are_held = (Step.upstream.in_(long_held), Step.parked_at <= since, Step.nudge_at.is_(None))
    steps = select(Step.id).where(*are_held, Step.state.in_(CLAIMABLE)).limit(LONG_HELD_AT_ONCE)
    if long_held and db.read(lambda session: session.scalar(steps.limit(1))) is not None:
        locked = steps.with_for_update(skip_locked=True)
        db.transaction(lambda session: _set(session, session.scalars(locked).all(), nudge_at=now))


def put_back(db: Database, lanes: Sequence[LaneMessage]) -> None:
    """Undo `take_due` for lanes that could not be sent: they are due again at once, as if never taken.

    What is locked is left out: it is due again when it would have been sent again.
    """
    if not lanes:
        return
    heads = or_(*(and_(Step.job_id == lane.job_id, Step.name == lane.steps[0]) for lane in lanes))
    taken = select(Step.id).where(heads, Step.nudge_at.is_not(None)).with_for_update(skip_locked=True)
    fewer = case((Step.nudges > 0, Step.nudges - 1), else_=0)
    db.transaction(lambda session: _set(session, session.scalars(taken).all(), nudge_at=db.now(), nudges=fewer))


def _set(session: Session, step_ids: Sequence[str], **values: Any) -> None:
    """Change steps that this transaction has locked."""
    if step_ids:
        unnoticed = {"synchronize_session": False}  # no object of this session is one of them
        session.execute(update(Step).where(Step.id.in_(step_ids)).values(**values), execution_options=unnoticed)


@dataclass(frozen=True, kw_only=True)
class Released:
    """How many leases of a worker were ended. `is_all`: none is left, so it need not be asked for again."""

    leases: int
    is_all: bool


def release_worker(db: Database, worker: str) -> Released:
    """End the leases of a worker that is known to be dead. Safe to repeat, and by many at once."""
    held = db.read(
        lambda session: session.execute(
            select(Step.id, Step.claim_token)
            .join(Attempt, (Attempt.step_id == Step.id) & (Attempt.number == Step.attempts))
            # A range, for the index: with IS NOT NULL SQLite would begin with all the attempts that ever were.
            .where(Step.nudge_at > EPOCH, Step.state == StepState.RUNNING, Attempt.worker == worker)
        ).all()
    )
    released = [db.transaction(partial(_end_lease, db, *row)) for row in held]
    return Released(leases=sum(bool(is_ended) for is_ended in released), is_all=None not in released)


def _end_lease(db: Database, step_id: str, token: str | None, session: Session) -> bool | None:
    """Return whether the lease was ended, None when its step is locked."""
    until = db.now() + timedelta(seconds=LAST_CALL_S)
    slots.shorten(session, str(token), until)  # before the step is locked, as in a claim
    step = session.scalar(select(Step).where(Step.id == step_id).with_for_update(skip_locked=True))
    if step is None:
        return None
    if step.claim_token != token or step.lease_until is None or step.lease_until <= until:
        return False
    step.lease_until = step.nudge_at = until
    return True


def _resend_s(nudges: int) -> float:
    """Return how long the next message has, after this many: the second as long as the first, then ever longer."""
    return float(lifecycle.RESEND_S * 2 ** min(max(nudges - 1, 0), RESEND_DOUBLINGS))


def delete_expired(db: Database) -> None:
    """Delete what is past its time, whatever state its jobs and users are in.

    A few thousand rows at most, so that dispatching does not wait long. Safe to call from any number of clocks.
    """
    sealed_passwords.expire(db)
    for table in EXPIRING:
        expiry.delete_expired(db, table)

"""Stuck jobs: open ones that make no progress though nothing in their plan explains it, with the step and the reason.

The query follows the index of open jobs, so its cost does not depend on the number of those that have ended.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, and_, case, func, null, select, type_coerce
from sqlalchemy.orm import Session

from common.database.models import App, Job, Step
from common.database.types import UtcDateTime
from common.jobs import lifecycle
from common.states import CLAIMABLE, OPEN, UNSETTLED, StepState

AT = UtcDateTime()


class Why(StrEnum):
    """overdue: the step is due, and no worker has dispatched it · unwatched: no worker will ever dispatch it · unbegun:
    it is dispatched repeatedly, and nobody starts it · held: its upstream has not been able to take it for long ·
    waiting: the upstream has not been ready for long · endless: the job is open, and no step of it can change.
    """

    OVERDUE = "overdue"
    UNWATCHED = "unwatched"
    UNBEGUN = "unbegun"
    HELD = "held"
    WAITING = "waiting"
    ENDLESS = "endless"


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long is normal: without progress where there should be some, and waiting for an upstream."""

    idle: timedelta
    waiting: timedelta


@dataclass(frozen=True, kw_only=True)
class Stuck:
    """A job, and the step it is stuck at; None when no step of it can change. `app` is the app's name."""

    job: Job
    step: Step | None
    app: str | None
    why: Why
    since: datetime


def find(session: Session, patience: Patience, now: datetime, *, limit: int) -> list[Stuck]:
    """Return steps of open jobs that make no progress, those of the oldest jobs in each state first."""
    signs = _signs(now - patience.idle, now - patience.waiting)
    why = case(*((sign.shown_by, sign.why.value) for sign in signs), else_=null())
    since = case(*((sign.shown_by, sign.since) for sign in signs), else_=null())
    statement = (
        select(Job, Step, App.name, why, since)
        .outerjoin(Step, (Step.job_id == Job.id) & Step.state.in_(UNSETTLED))
        .outerjoin(App, App.id == Job.app_id)
        .where(Job.state.in_(sorted(OPEN)), why.is_not(None))
        .order_by(Job.state, Job.id)  # as the index has it: sorting would read all of them first
        .limit(limit)
    )
    return [
        Stuck(job=job, step=step, app=app, why=Why(why), since=since)
        for job, step, app, why, since in session.execute(statement)
    ]


@dataclass(frozen=True)
class _Sign:
    why: Why
    shown_by: ColumnElement[bool]
    since: ColumnElement[datetime]


def _signs(idle_since: datetime, waiting_since: datetime) -> list[_Sign]:
    """The first one that a step shows counts."""
    is_free = Step.parked_at.is_(None)
    is_unanswered = and_(Step.state.in_(CLAIMABLE), is_free, Step.due_at < idle_since)
    waits = and_(Step.state == StepState.WAITING, Step.waiting_since < waiting_since)
    last_seen = func.coalesce(Step.due_at, Step.lease_until, Job.updated_at)
    is_endless = and_(Step.id.is_(None), Job.updated_at < idle_since, ~lifecycle.IS_REVIEWED)
    return [
        _Sign(Why.ENDLESS, is_endless, type_coerce(Job.updated_at, AT)),
        _Sign(Why.OVERDUE, Step.nudge_at < idle_since, type_coerce(Step.nudge_at, AT)),
        _Sign(Why.UNWATCHED, and_(Step.id.is_not(None), Step.nudge_at.is_(None), is_free), type_coerce(last_seen, AT)),
        _Sign(Why.UNBEGUN, is_unanswered, type_coerce(Step.due_at, AT)),
        _Sign(Why.HELD, Step.parked_at < waiting_since, type_coerce(Step.parked_at, AT)),
        _Sign(Why.WAITING, waits, type_coerce(Step.waiting_since, AT)),
    ]

"""Events of jobs: one numbered event a change, so that a follower misses nothing and sees nothing twice.

`transition` and `transition_job`, and `hot_path` with statements of its own, are the only places where the state of a
step or a job changes: each checks that the change is allowed (`common/states.py`), and none is left out of the events.
An event's number is the job's version after the change: a reader of the job at version 7 continues with the events
above 7.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session, object_session

from common.admission.outages import HoldCode
from common.database.models import Event, Job, Step
from common.plain_text import own_words
from common.states import JobState, StepState, require_job_transition, require_step_transition

CHANGED = "changed steps"  # of the session: those of the one job that its transaction has locked
REASON_CHARACTERS = 500
EVENTS_READ = 1000  # at a time


@dataclass(frozen=True)
class EventBatch:
    """Events of one job, in order. `is_all`: it has no others above the number that was asked for."""

    events: Sequence[Event]
    is_all: bool


def transition(step: Step, state: StepState, *, code: str | None = None, reason: str | None = None) -> None:
    """Change a step's state and say why; `write` makes it an event unless it is a poll that found nothing new.

    Raises ForbiddenTransitionError.
    """
    require_step_transition(step.state, state)
    session = object_session(step)
    assert session is not None  # noqa: S101 - a step is added before its state changes
    is_poll = state is StepState.RUNNING and step.state is StepState.WAITING and step.code not in set(HoldCode)
    is_same = state in (StepState.WAITING, step.state) and (step.code, step.reason) == (code, reason)
    step.state = state
    if is_poll:
        return  # the reason of the wait stays: it is not known yet whether it is over
    step.code, step.reason = code, reason
    if not is_same:
        session.info.setdefault(CHANGED, {})[step.name] = shown(step.name, state, code, reason)


def transition_job(job: Job, state: JobState) -> None:
    """Change a job's state. Raises ForbiddenTransitionError; the state that it has already is no change."""
    if job.state is not state:
        require_job_transition(job.state, state)
        job.state = state


def shown(step: str, state: StepState, code: str | None = None, reason: str | None = None) -> dict[str, Any]:
    """Return what an event says of a step that changed."""
    headline = own_words(reason.partition("\n")[0])[:REASON_CHARACTERS] if reason else None
    return {"name": step, "state": state.value, "code": code, "reason": headline}


def write(session: Session, job: Job, now: datetime) -> None:
    """Write what has changed since the last event; the caller has just raised the job's version."""
    changed: dict[str, dict[str, Any]] = session.info.pop(CHANGED, {})
    if changed:
        row = Event(job_id=job.id, number=job.version, at=now, state=job.state, steps=list(changed.values()))
        session.add(row)


def read(session: Session, after: Mapping[str, int], *, limit: int = EVENTS_READ) -> dict[str, EventBatch]:
    """Return what each of these jobs has above the number given for it; at most `limit` events in all."""
    if not after:
        return {}
    newer = or_(*((Event.job_id == job_id) & (Event.number > number) for job_id, number in after.items()))
    rows = session.scalars(select(Event).where(newer).order_by(Event.job_id, Event.number).limit(limit)).all()
    found: dict[str, list[Event]] = {job_id: [] for job_id in after}
    for row in rows:
        found[row.job_id].append(row)
    cut_at = rows[-1].job_id if len(rows) == limit else None  # of this job, and those behind it, there may be more
    return {job_id: EventBatch(events, cut_at is None or job_id < cut_at) for job_id, events in found.items()}


def has_newer(session: Session, job_id: str, number: int) -> bool:
    """Say whether a job has events above this number."""
    return (
        session.scalar(select(Event.number).where(Event.job_id == job_id, Event.number > number).limit(1)) is not None
    )

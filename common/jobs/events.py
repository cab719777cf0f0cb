"""What has happened to a job, one numbered event a change, so that a follower misses nothing and sees nothing twice?

`move` is the only place where a step's state changes, so no change can be forgotten. An event's number is the job's
version after the change: whoever has read the job at version 7 goes on with the events above 7.
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
from common.states import StepState

MOVED = "moved steps"  # of the session: those of the one job that its transaction has locked
REASON_CHARACTERS = 500
EVENTS_READ = 1000  # at a time


@dataclass(frozen=True)
class EventBatch:
    """Events of one job, in order. `is_all`: it has no others above the number that was asked for."""

    events: Sequence[Event]
    is_all: bool


def transition(step: Step, state: StepState, *, code: str | None = None, reason: str | None = None) -> None:
    """Change a step's state and say why; `write` makes it an event unless it is a look that found nothing new."""
    session = object_session(step)
    assert session is not None  # noqa: S101 - a step is added before it moves
    is_look = state is StepState.RUNNING and step.state is StepState.WAITING and step.code not in set(HoldCode)
    is_same = state in (StepState.WAITING, step.state) and (step.code, step.reason) == (code, reason)
    step.state = state
    if is_look:
        return  # the reason of the wait stays: nobody knows yet that it is over
    step.code, step.reason = code, reason
    if not is_same:
        session.info.setdefault(MOVED, {})[step.name] = _told(step)


def _told(step: Step) -> dict[str, Any]:
    headline = step.reason.partition("\n")[0][:REASON_CHARACTERS] if step.reason else None
    return {"name": step.name, "state": step.state.value, "code": step.code, "reason": headline}


def write(session: Session, job: Job, now: datetime) -> None:
    """Write what has moved since the last event; the caller has just bumped the job's version."""
    moved: dict[str, dict[str, Any]] = session.info.pop(MOVED, {})
    if moved:
        row = Event(job_id=job.id, number=job.version, at=now, state=job.state, steps=list(moved.values()))
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
    return {job_id: EventBatch(told, cut_at is None or job_id < cut_at) for job_id, told in found.items()}


def has_newer(session: Session, job_id: str, number: int) -> bool:
    """Say whether a job has events above this number."""
    return (
        session.scalar(select(Event.number).where(Event.job_id == job_id, Event.number > number).limit(1)) is not None
    )

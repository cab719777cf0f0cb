"""The message of a lane: which jobs and steps it is made from, and the tasks that it travels as.

A message is a hint: it carries the job's id and the names of the steps that are left, and the worker that takes it
reads everything else from the database. It is made after a transaction has changed what is due, and sent after the
commit (`common/broker.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from common import workflows
from common.database.models import Job, Step
from common.states import OPEN, StepState
from common.workflows import Upstream, find_step, task_name


@dataclass(frozen=True, kw_only=True)
class TaskMessage:
    """One task of a lane, as the broker carries it: its name, its one argument, its queue."""

    name: str
    job_id: str
    queue: str


@dataclass(frozen=True, kw_only=True)
class LaneMessage:
    """What is left of a lane, to be sent as one chain."""

    job_id: str
    kind: str
    steps: tuple[str, ...]

    @property
    def tasks(self) -> tuple[TaskMessage, ...]:
        """Its tasks in their order. A step that only another version declares goes by the queue of our own steps."""
        return tuple(
            TaskMessage(
                name=task_name(self.kind, step),
                job_id=self.job_id,
                queue=(plan.upstream if (plan := find_step(self.kind, step)) else Upstream.SLIPWAY).value,
            )
            for step in self.steps
        )


def of_new_job(job: Job) -> list[LaneMessage]:
    """Return the messages of a job that was just accepted: all its lanes, without a query."""
    return [
        LaneMessage(job_id=job.id, kind=job.kind, steps=tuple(step.name for step in lane.steps))
        for lane in workflows.WORKFLOWS[job.kind].lanes
    ]


def of_resumed_job(session: Session, job: Job) -> list[LaneMessage]:
    """Return the messages of the lanes of a job in which a step is ready, from that step on."""
    return _from(session, Step.job_id == job.id, Step.state == StepState.READY)


def from_steps(session: Session, step_ids: Sequence[str]) -> list[LaneMessage]:
    """Return the messages of the lanes of open jobs from these steps on."""
    return _from(session, Step.id.in_(step_ids)) if step_ids else []


def _from(session: Session, *is_head: ColumnElement[bool]) -> list[LaneMessage]:
    head = select(Step.job_id, Step.lane, Step.position).where(*is_head).subquery()
    rows = session.execute(
        select(Job.id, Job.kind, Job.state, Step.lane, Step.name)
        .join(Step, Step.job_id == Job.id)
        .join(head, (head.c.job_id == Step.job_id) & (head.c.lane == Step.lane) & (head.c.position <= Step.position))
        .order_by(Job.id, Step.position)
    ).all()
    # The state is compared here: as a condition, a database would begin with all jobs that are open.
    return [
        LaneMessage(job_id=job_id, kind=kind, steps=tuple(row.name for row in lane))
        for (job_id, kind, state, _), lane in groupby(rows, key=lambda row: (row.id, row.kind, row.state, row.lane))
        if state in OPEN
    ]

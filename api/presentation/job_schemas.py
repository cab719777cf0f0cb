"""What does a client get to see of a job?"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from api.contract.endpoint import ResponseBody
from common.states import JobState, Outcome, StepState


class JobSummary(ResponseBody):
    """A job in a list. `user` is the login of who began it."""

    job_id: str
    kind: str
    title: str
    state: JobState
    app_id: str | None
    user: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class AttemptShown(ResponseBody):
    """One try of a step; `polls` counts the looks of a wait."""

    number: int
    outcome: Outcome | None
    polls: int
    code: str | None
    reason: str | None
    started_at: datetime
    finished_at: datetime | None


class StepShown(ResponseBody):
    """One step of a lane, with every attempt at it."""

    name: str
    upstream: str
    state: StepState
    attempts_allowed: int | None
    code: str | None
    reason: str | None
    remedy: list[str]
    started_at: datetime | None
    finished_at: datetime | None
    attempts: list[AttemptShown]


class LaneShown(ResponseBody):
    """Steps that run one after the other; the lanes of a job run side by side."""

    name: str
    steps: list[StepShown]


class Remaining(ResponseBody):
    """How long it is likely to go on, in seconds from this answer: half of such jobs less, nine of ten less."""

    p50_s: float
    p90_s: float


class Progress(ResponseBody):
    """`remaining` is null when the job is over, or when too few such jobs have run to tell."""

    done: int
    total: int
    remaining: Remaining | None


class WaitingOn(ResponseBody):
    """Why a lane stands still: on whom, since when, when it looks again.

    `code` is `outage` while the upstream does not answer, `paused` while an administrator keeps it free, `busy` while
    as much is at work there as may be: then it goes on by itself, without a time that could be told.
    """

    step: str
    upstream: str
    code: str | None
    reason: str | None
    since: datetime | None
    next_look_at: datetime | None


class Failure(ResponseBody):
    """What stopped a lane, and what can be done about it."""

    step: str
    upstream: str
    code: str | None
    reason: str | None
    remedy: list[str]


class Link(ResponseBody):
    """An outside object that the job made or found, at the address that people reach.

    Administrators get one more, of upstream `flower`: where its tasks are shown.
    """

    upstream: str
    kind: str
    name: str
    url: str


class JobShown(JobSummary):
    """A job with all its lanes, steps and attempts. `version` grows with every change: go on with the events above it.

    `result` is what a build, a deployment, a plan or a comparison found or made, once it has.
    """

    version: int
    result: dict[str, Any] | None
    progress: Progress
    waiting_on: list[WaitingOn]
    errors: list[Failure]
    lanes: list[LaneShown]
    links: list[Link]


class StepMoved(ResponseBody):
    """A step that has changed, and why."""

    name: str
    state: StepState
    code: str | None
    reason: str | None


class JobEvent(ResponseBody):
    """One change of a job, the data of a server-sent event; its id is `number`. `state` is the job's."""

    media_type: ClassVar[str] = "text/event-stream"

    number: int
    at: datetime
    state: JobState
    steps: list[StepMoved]

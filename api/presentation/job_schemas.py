"""Response models of jobs, steps, attempts and events."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Literal

from api.contract.endpoint import ResponseBody
from common.audit import ActionKind, Channel
from common.states import JobState, Outcome, StepState

InterventionKind = Literal[ActionKind.JOB_RETRY, ActionKind.JOB_SKIP_STEP, ActionKind.JOB_CANCEL, ActionKind.JOB_POLL]


class AttemptShown(ResponseBody):
    """One attempt at a step. `polls` counts how often a waiting step was checked."""

    number: int
    outcome: Outcome | None
    polls: int
    code: str | None
    reason: str | None
    started_at: datetime
    finished_at: datetime | None


class StepShown(ResponseBody):
    """One step of a lane, with all its attempts. `expected_s`: how long it usually takes, null if it is not known."""

    name: str
    upstream: str
    state: StepState
    attempts_allowed: int | None
    expected_s: float | None
    code: str | None
    reason: str | None
    remedy: list[str]
    started_at: datetime | None
    finished_at: datetime | None
    attempts: list[AttemptShown]


class LaneShown(ResponseBody):
    """A sequence of steps that run one after another. The lanes of a job run in parallel."""

    name: str
    steps: list[StepShown]


class Remaining(ResponseBody):
    """The likely remaining time in seconds: `p50_s` is the median of similar jobs, `p90_s` the 90th percentile."""

    p50_s: float
    p90_s: float


class Progress(ResponseBody):
    """Steps done and in total.

    `remaining` is null when the job is over, when too few similar jobs have run, and while a step waits for an upstream
    that does not answer: `waiting_on` says when that is checked next.
    """

    done: int
    total: int
    remaining: Remaining | None


class WaitingOn(ResponseBody):
    """Why a lane is waiting: for which upstream, since when, and when it is checked again.

    `code` is `outage` while the upstream does not answer, `refused` while it refuses Slipway's account or all calls of
    a kind, `paused` while an administrator has paused it, and `busy` while it is at its concurrency limit. In these
    cases the lane resumes automatically; `next_look_at` is when a worker probes the upstream next, null if none does.
    With the upstream `slipway`, the whole job waits: `confirmation` until the person opens the link in the mail,
    `approval` for an administrator.
    """

    step: str
    upstream: str
    code: str | None
    reason: str | None
    since: datetime | None
    next_look_at: datetime | None


class Failure(ResponseBody):
    """The failure that stopped a lane, and how to resolve it."""

    step: str
    upstream: str
    code: str | None
    reason: str | None
    remedy: list[str]


class JobSummary(ResponseBody):
    """A job in a list. `title` names its subject, the app or person: "Build 5 of storefront".

    `app` is the name of the app, also after its removal. `user` is the login of who started it. `errors` are the
    failures that stopped lanes, `waiting_on` is what lanes wait for; each is empty if there is none.
    """

    job_id: str
    kind: str
    title: str
    state: JobState
    team: str
    app_id: str | None
    app: str | None
    subject: str | None
    user: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    waiting_on: list[WaitingOn]
    errors: list[Failure]


class Link(ResponseBody):
    """An object on an upstream that the job created or found, with its URL for users.

    Administrators get one more link, of upstream `flower`, to the tasks of the job.
    """

    upstream: str
    kind: str
    name: str
    url: str


class Intervention(ResponseBody):
    """What somebody did to the job. `user` is null for an operator's command, and for who is not logged in."""

    at: datetime
    action: InterventionKind
    channel: Channel
    user: str | None
    step: str | None
    reason: str | None


class JobShown(JobSummary):
    """A job with all its lanes, steps and attempts. `version` grows with every change, and events are numbered by it.

    `interventions` are what people did to the job, oldest first and at most the last 50; visitors do not see them.
    `result` is the output of a build, a deployment, a dry run or a comparison, once there is one. `image_tag` is the
    tag that a build pushes or a deployment sets, requested or chosen when the job was accepted.
    """

    version: int
    image_tag: str | None
    result: dict[str, Any] | None
    progress: Progress
    interventions: list[Intervention]
    lanes: list[LaneShown]
    links: list[Link]


class StepMoved(ResponseBody):
    """A step that has changed, with the reason."""

    name: str
    state: StepState
    code: str | None
    reason: str | None


class JobEvent(ResponseBody):
    """One change of a job: the data of a server-sent event, whose id is `number`. `state` is the state of the job."""

    media_type: ClassVar[str] = "text/event-stream"

    number: int
    at: datetime
    state: JobState
    steps: list[StepMoved]


class JobEnd(ResponseBody):
    """The data of the last event of a stream, `end`: the job is over."""

    state: JobState

"""What is a job doing, why does it wait, and what has become of its steps?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import Annotated, Any

from flask import Blueprint, request
from pydantic import AfterValidator
from sqlalchemy import select
from sqlalchemy.orm import Session

from api import auth, links, pages, visible
from api.routes import Answer, Policy, Result, route
from api.service import service
from common import workflows
from common.jobs import OPEN, PASSED
from common.models import Attempt, Job, JobState, Outcome, Resource, Step, StepState

blueprint = Blueprint("jobs", __name__)

WAITING = frozenset({StepState.WAITING, StepState.RETRYING})


class JobSummary(Result):
    """A job in a list. The states: queued, running, succeeded, failed, cancelled."""

    job_id: str
    kind: str
    state: JobState
    app_id: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class Jobs(Result):
    """One page; `next` is the cursor of the following one."""

    jobs: list[JobSummary]
    next: str | None


class AttemptShown(Result):
    """One try. `outcome`: succeeded, stumbled (it is tried again), failed, lost (its worker died), None: it runs."""

    number: int
    outcome: Outcome | None
    polls: int
    code: str | None
    reason: str | None
    started_at: datetime
    finished_at: datetime | None


class StepShown(Result):
    """One step: pending, ready, running, waiting, retrying, succeeded, failed, skipped or cancelled."""

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


class LaneShown(Result):
    name: str
    steps: list[StepShown]


class Progress(Result):
    done: int
    total: int


class WaitingOn(Result):
    """Why a lane stands still: on whom, since when, when it looks again."""

    step: str
    upstream: str
    code: str | None
    reason: str | None
    since: datetime | None
    next_look_at: datetime | None


class Failure(Result):
    """What stopped a lane, and what can be done about it."""

    step: str
    upstream: str
    code: str | None
    reason: str | None
    remedy: list[str]


class Link(Result):
    upstream: str
    kind: str
    name: str
    url: str


class JobShown(JobSummary):
    """A job with all its lanes, steps and attempts."""

    title: str
    result: dict[str, Any] | None  # of a build, a deployment, a plan, a comparison: what it found or made
    progress: Progress
    waiting_on: list[WaitingOn]
    errors: list[Failure]
    lanes: list[LaneShown]
    links: list[Link]


def _checked_kind(kind: str) -> str:
    if kind not in workflows.WORKFLOWS:
        raise ValueError(f"There is no such kind. Choose one of: {', '.join(workflows.WORKFLOWS)}.")
    return kind


class JobFilter(pages.Page):
    state: JobState | None = None
    kind: Annotated[str, AfterValidator(_checked_kind)] | None = None
    app_id: pages.Id | None = None


@route(blueprint, "GET", "/jobs", policy=Policy.MEMBER, query=JobFilter, answers={200: Jobs})
def list_jobs(query: JobFilter) -> Answer:
    """Members, of their team. 200 a page of jobs, newest first."""
    statement = select(Job).where(Job.team_id == auth.require_user().team_id)
    if query.state is not None:
        statement = statement.where(Job.state == query.state)
    if query.kind is not None:
        statement = statement.where(Job.kind == query.kind)
    if query.app_id is not None:
        statement = statement.where(Job.app_id == query.app_id)
    rows, following = service().db.read(lambda session: pages.read(session, statement, Job.id, query))
    return Answer(body=Jobs(jobs=[JobSummary(**_summary(job)) for job in rows], next=following))


@route(blueprint, "GET", "/jobs/<job_id>", policy=Policy.VISITOR, answers={200: JobShown, 304: None})
def show_job(job_id: str) -> Answer:
    """Members, of their team's job; anyone, of a sign-up. 200 · 304 nothing has changed · 401 · 404."""
    user = auth.find_user()

    def work(session: Session) -> Answer:
        job = visible.job(session, user, job_id)
        tag = f"{job.id}-{job.version}"
        headers = {"ETag": f'"{tag}"', "Cache-Control": "private, no-cache"}
        if job.state in OPEN:
            headers["Retry-After"] = "1"
        if request.if_none_match.contains_weak(tag):
            return Answer(status=304, headers=headers)
        return Answer(body=_shown(session, job), headers=headers)

    return service().db.read(work)


def _summary(job: Job) -> dict[str, object]:
    return {
        "job_id": job.id,
        "kind": job.kind,
        "state": job.state,
        "app_id": job.app_id,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
    }


def _shown(session: Session, job: Job) -> JobShown:
    steps = session.scalars(select(Step).where(Step.job_id == job.id).order_by(Step.position)).all()
    attempts = defaultdict(list)
    for attempt in session.scalars(
        select(Attempt).where(Attempt.step_id.in_([step.id for step in steps])).order_by(Attempt.number)
    ):
        attempts[attempt.step_id].append(attempt)
    flow = workflows.WORKFLOWS.get(job.kind)
    return JobShown(
        **_summary(job),
        title=flow.title if flow else job.kind,
        result=next((step.output for step in steps if flow and step.name == flow.result), None),
        progress=Progress(done=sum(step.state in PASSED for step in steps), total=len(steps)),
        waiting_on=[_waiting_on(step) for step in steps if step.state in WAITING],
        errors=[_failure(step) for step in steps if step.state is StepState.FAILED],
        lanes=[
            LaneShown(name=name, steps=[_step(job, step, attempts[step.id]) for step in lane])
            for name, lane in groupby(steps, key=lambda step: step.lane)
        ],
        links=_links(session, job),
    )


def _step(job: Job, step: Step, attempts: Sequence[Attempt]) -> StepShown:
    plan = workflows.find_step(job.kind, step.name)
    return StepShown(
        name=step.name,
        upstream=step.upstream,
        state=step.state,
        attempts_allowed=plan.retry.attempts if plan else None,
        code=step.code,
        reason=step.reason,
        remedy=step.remedy or [],
        started_at=step.started_at,
        finished_at=step.finished_at,
        attempts=[AttemptShown.model_validate(attempt, from_attributes=True) for attempt in attempts],
    )


def _waiting_on(step: Step) -> WaitingOn:
    return WaitingOn(
        step=step.name,
        upstream=step.upstream,
        code=step.code,
        reason=step.reason,
        since=step.waiting_since or step.started_at,
        next_look_at=step.due_at,
    )


def _failure(step: Step) -> Failure:
    return Failure(step=step.name, upstream=step.upstream, code=step.code, reason=step.reason, remedy=step.remedy or [])


def _links(session: Session, job: Job) -> list[Link]:
    settings = service().settings
    rows = session.scalars(select(Resource).where(Resource.job_id == job.id).order_by(Resource.id))
    shown = [(row, links.external(row.url, settings)) for row in rows]
    return [Link(upstream=row.upstream, kind=row.kind, name=row.ref, url=url) for row, url in shown if url]

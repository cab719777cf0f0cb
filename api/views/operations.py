"""Operation of the whole installation, for administrators: jobs that are stuck."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from flask import Blueprint
from pydantic import Field

from api.contract.endpoint import Answer, Policy, Query, ResponseBody, WholeNumber
from api.presentation.advice import advice
from api.service import service
from api.serving.routing import route
from common.jobs import stuck
from common.jobs.stuck import Patience, Stuck, Why

blueprint = Blueprint("operations", __name__)

DAY_S = 86_400


class StuckFilter(Query):
    """Which jobs count as stuck."""

    idle_s: Annotated[
        int, Field(ge=1, le=DAY_S, description="Steps that are overdue for so many seconds."), WholeNumber
    ] = 900
    waiting_s: Annotated[
        int, Field(ge=1, le=30 * DAY_S, description="Steps that have waited so long for an upstream."), WholeNumber
    ] = 3600
    limit: Annotated[int, Field(ge=1, le=100, description="Maximum number of entries."), WholeNumber] = 50


class StuckJob(ResponseBody):
    """An open job that makes no progress, and the step it is stuck at, null when none of its steps can run."""

    job_id: str
    kind: str
    team: str
    app: str | None
    why: Why
    since: datetime
    step: str | None
    upstream: str | None
    code: str | None
    reason: str | None
    advice: str


class StuckJobs(ResponseBody):
    """Stuck jobs, those of the oldest jobs in each state first."""

    jobs: list[StuckJob]


@route(blueprint, "GET", "/jobs/stuck", policy=Policy.ADMIN, query=StuckFilter, answers={200: StuckJobs})
def list_stuck_jobs(query: StuckFilter) -> Answer:
    """List open jobs of all teams that make no progress, and what to do."""
    patience = Patience(idle=timedelta(seconds=query.idle_s), waiting=timedelta(seconds=query.waiting_s))
    now = service().db.now()
    found = service().db.read(lambda session: stuck.find(session, patience, now, limit=query.limit))
    return Answer(body=StuckJobs(jobs=[_shown(each) for each in found]))


def _shown(stuck: Stuck) -> StuckJob:
    job, step = stuck.job, stuck.step
    return StuckJob(
        job_id=job.id,
        kind=job.kind,
        team=job.team_id,
        app=stuck.app,
        why=stuck.why,
        since=stuck.since,
        step=step.name if step else None,
        upstream=step.upstream if step else None,
        code=step.code if step else None,
        reason=step.reason if step else None,
        advice=advice(stuck),
    )

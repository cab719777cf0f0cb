"""Jobs: list, show, long polling and server-sent events."""

from __future__ import annotations

from typing import Annotated

from flask import Blueprint, Response, request
from pydantic import Field
from sqlalchemy.orm import Session

from api.access import auth, permissions
from api.contract import pagination
from api.contract.endpoint import Answer, Policy, Query, WholeNumber
from api.contract.pagination import Id, JobPage, Kind, PageBody, TeamName
from api.contract.problems import FieldError, Problem
from api.follow import responses
from api.follow.responses import Adapt, EventStreamResponse, LongPollResponse
from api.presentation import job_view
from api.presentation.job_schemas import JobEvent, JobShown, JobSummary
from api.service import service
from api.serving.routing import render, route
from common.database.models import App, Job, User
from common.jobs import events
from common.states import OPEN

blueprint = Blueprint("jobs", __name__)

WAIT_S = 60  # at most; proxies close idle connections after about this time
LAST_EVENT_ID = "Last-Event-ID"


class Jobs(PageBody):
    """A page of jobs."""

    jobs: list[JobSummary]


class Wait(Query):
    """`wait`: delay the response until the job changes, for at most this number of seconds."""

    wait: Annotated[int, Field(ge=0, le=WAIT_S), WholeNumber] = 0


class Resume(Query):
    """`after`: the number of the last event that you received, if you cannot send the header `Last-Event-ID`."""

    after: Annotated[int, Field(ge=0, le=10**9 - 1), WholeNumber] = 0


class JobFilter(JobPage):
    """The page of a list of jobs to return, newest first."""

    kind: Annotated[Kind | None, Field(description="Only jobs of this kind.")] = None
    app_id: Annotated[Id | None, Field(description="Only jobs of this app.")] = None
    team: Annotated[
        TeamName | None,
        Field(description="Jobs of this team; another team than your own requires administrator rights."),
    ] = None


@route(blueprint, "GET", "/jobs", policy=Policy.MEMBER, query=JobFilter, answers={200: Jobs}, raises=("not_found",))
def list_jobs(query: JobFilter) -> Answer:
    """List the jobs of your team, newest first.

    A job must match every filter that is set. Administrators may list the jobs of another team.
    """
    user = auth.require_user()

    def work(session: Session) -> Jobs:
        team = permissions.team(session, user, query.team)
        page = _find(session, team, query)
        return Jobs(jobs=job_view.summaries(session, page.rows), **page.fields)

    return Answer(body=service().db.read(work))


def _find(session: Session, team: str, query: JobFilter) -> pagination.PageRows[Job]:
    """Return a page of the team's jobs; with `app_id`, the app's jobs if the app belongs to the team."""
    filters = pagination.filters_of(query, "kind", "state")
    if query.app_id is None:
        return pagination.read(session, Job, query, {"team_id": team, **filters})
    app = session.get(App, query.app_id)
    if app is None or app.team_id != team:
        return pagination.empty_page(query)
    return pagination.read(session, Job, query, {"app_id": app.id, **filters})


@route(blueprint, "GET", "/jobs/<job_id>", policy=Policy.VISITOR, query=Wait, answers={200: JobShown, 304: None})
def show_job(job_id: str, query: Wait) -> Answer | Response:
    """Show a job.

    Send the `ETag` as `If-None-Match` to get a 304 while the job has not changed. With `?wait=SECONDS`, the response is
    delayed until the job changes. `Retry-After` suggests when to poll again, based on typical durations.
    """

    def work(session: Session) -> tuple[Job, Answer, Adapt]:
        user = auth.find_user(session)
        adapt = _adapt_for(user)
        job = permissions.shown_job(session, user, job_id)
        return job, _show(session, job, query, adapt), adapt

    job, answer, adapt = service().db.read(work)
    is_changed = bool(request.if_none_match) and answer.status == 200
    if not query.wait or is_changed or job.state not in OPEN or not responses.can_hold(service().hub):
        return answer
    return LongPollResponse(
        service().hub,
        job.id,
        render(answer),
        adapt,
        version=job.version,
        wait_s=query.wait,
        token_hash=auth.token_hash(),
    )


@route(
    blueprint,
    "GET",
    "/jobs/<job_id>/events",
    policy=Policy.VISITOR,
    query=Resume,
    answers={200: JobEvent, 204: None},
)
def follow_job(job_id: str, query: Resume) -> Answer | Response:
    """Follow a job with server-sent events.

    The ID of each event is the job's version after the change. With `Last-Event-ID`, which browsers send automatically,
    the stream continues after that event. The stream ends with the job, within seconds after the end of your session,
    and sometimes earlier: reconnect, and no event is missed or repeated. 204 means that the job is over and you have
    all its events. A comment every 15 seconds keeps the connection open.
    """
    number = _last_event_number() or query.after

    def work(session: Session) -> tuple[Job, bool]:
        return _has_all_events(session, permissions.shown_job(session, auth.find_user(session), job_id), number)

    job, has_all = service().db.read(work)
    if has_all:
        return Answer(status=204)
    if not responses.can_hold(service().hub):
        raise Problem(
            "unavailable",
            "Too many clients are following jobs. Poll the job instead, or try again later.",
            retry_after_s=5,
        )
    number = min(number, job.version)
    return EventStreamResponse(service().hub, job.id, number=number, token_hash=auth.token_hash())


def _adapt_for(user: User | None) -> Adapt:
    view = service().view
    return view.for_operators if user is not None and user.is_admin else view.for_members


def _show(session: Session, job: Job, query: Wait, adapt: Adapt) -> Answer:
    view, now, tag = service().view, service().db.now(), job_view.etag(job)
    if not request.if_none_match.contains_weak(tag):
        shown = view.render(session, [job], now)[0]
        return Answer(body=adapt(shown.body), headers=shown.headers)
    if query.wait or job.state not in OPEN:  # a client that waits here needs no Retry-After
        return Answer(status=304, headers=job_view.headers(tag, None))
    steps = job_view.steps_of(session, job.id)
    return Answer(status=304, headers=job_view.headers(tag, view.retry_after_s(job, steps, now)))


def _has_all_events(session: Session, job: Job, number: int) -> tuple[Job, bool]:
    """Return the job, and whether no event after `number` exists or will come."""
    return job, job.state not in OPEN and not events.has_newer(session, job.id, number)


def _last_event_number() -> int:
    value = request.headers.get(LAST_EVENT_ID, "0")
    if not (value.isascii() and value.isdigit() and len(value) <= 9):
        message = "Send the ID of the last event that you received, or omit the header."
        raise Problem("invalid_fields", errors=[FieldError(field=LAST_EVENT_ID, code="invalid", message=message)])
    return int(value)

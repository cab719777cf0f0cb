"""Jobs: list, show, long polling and server-sent events."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Annotated

from flask import Blueprint, Response, request
from pydantic import Field
from sqlalchemy import ColumnElement, ScalarSelect, func, select
from sqlalchemy.orm import Session

from api.access import auth, permissions, tickets
from api.contract import pagination, validation
from api.contract.endpoint import Answer, Policy, Query, ResponseBody, WholeNumber
from api.contract.pagination import Id, JobPage, Kind, PageBody
from api.contract.problems import FieldError, Problem
from api.follow import responses
from api.follow.responses import Adapt, EventStreamResponse, LongPollResponse
from api.presentation import job_view, links
from api.presentation.job_schemas import JobEvent, JobShown, JobSummary
from api.service import service
from api.serving.routing import render, route
from common.database.models import App, Job, Team, User
from common.jobs import events
from common.states import OPEN, JobState
from common.workflows import WORKFLOWS

blueprint = Blueprint("jobs", __name__)

WAIT_S = 60  # at most; proxies close idle connections after about this time
LAST_EVENT_ID = "Last-Event-ID"


ALL_TEAMS = "*"
AnyTeam = Annotated[
    str | None,
    Field(
        pattern=rf"^(?:\*|{validation.TEAM.pattern})$",
        description="Jobs of this team, or of all: `*`. Another team than your own requires administrator rights.",
    ),
]


class Jobs(PageBody):
    """A page of jobs."""

    jobs: list[JobSummary]


class Wait(Query):
    """`wait`: delay the response until the job changes, for at most this number of seconds."""

    wait: Annotated[int, Field(ge=0, le=WAIT_S), WholeNumber] = 0


class Resume(Query):
    """`after`: the number of the last event that you received, if you cannot send the header `Last-Event-ID`.

    `ticket`: from `GET /jobs/{job_id}/ticket`, if you cannot send the header `Authorization`.
    """

    after: Annotated[int, Field(ge=0, le=10**9 - 1), WholeNumber] = 0
    ticket: Annotated[str | None, Field(pattern=r"^[A-Za-z0-9_-]{1,512}$", repr=False)] = None


class StreamTicket(ResponseBody):
    """The right to open event streams of one job until `expires_at`. `events_url` is the path with the ticket."""

    ticket: str
    expires_at: datetime
    events_url: str


class JobFilter(JobPage):
    """The page of a list of jobs to return, newest first."""

    kind: Annotated[Kind | None, Field(description="Only jobs of this kind.")] = None
    app_id: Annotated[Id | None, Field(description="Only jobs of this app.")] = None
    team: AnyTeam = None


class WhichCounts(Query):
    """Whose jobs to count."""

    team: AnyTeam = None


class JobCount(ResponseBody):
    """The number of jobs of a kind in a state. It is at most 10,000; `is_capped` is true if there are more."""

    kind: str
    state: JobState
    jobs: int
    is_capped: bool


class JobCounts(ResponseBody):
    """The numbers of jobs by kind and state, without those that are 0."""

    counts: list[JobCount]


@route(blueprint, "GET", "/jobs", policy=Policy.MEMBER, query=JobFilter, answers={200: Jobs}, raises=("not_found",))
def list_jobs(query: JobFilter) -> Answer:
    """List the jobs of your team, newest first.

    A job must match every filter that is set. Administrators may list the jobs of another team, or of all.
    """
    user = auth.require_user()

    def work(session: Session) -> Jobs:
        page = _find(session, _teams(session, user, query.team), query)
        shown = job_view.summaries(session, page.rows)
        return Jobs(jobs=shown if user.is_admin else [*map(job_view.summary_for_members, shown)], **page.fields)

    return Answer(body=service().db.read(work))


@route(
    blueprint,
    "GET",
    "/jobs/counts",
    policy=Policy.MEMBER,
    query=WhichCounts,
    answers={200: JobCounts},
    raises=("not_found",),
)
def count_jobs(query: WhichCounts) -> Answer:
    """Count the jobs of your team by kind and state."""
    user = auth.require_user()

    def work(session: Session) -> JobCounts:
        counts: Counter[tuple[str, JobState]] = Counter()
        for team in _teams(session, user, query.team):
            counts.update(_counts(session, team))
        return JobCounts(counts=[_count(*which, number) for which, number in sorted(counts.items()) if number])

    return Answer(body=service().db.read(work))


def _counts(session: Session, team: str) -> dict[tuple[str, JobState], int]:
    """Count one team's jobs with one statement, which reads each stretch of the index up to the maximum."""
    which = [(kind, state) for kind in WORKFLOWS for state in JobState]
    counts = [_counted(Job.team_id == team, Job.kind == kind, Job.state == state) for kind, state in which]
    return dict(zip(which, session.execute(select(*counts)).one(), strict=True))


def _counted(*where: ColumnElement[bool]) -> ScalarSelect[int]:
    some = select(Job.id).where(*where).limit(pagination.MAX_TOTAL + 1).subquery()
    return select(func.count()).select_from(some).scalar_subquery()


def _count(kind: str, state: JobState, number: int) -> JobCount:
    most = pagination.MAX_TOTAL
    return JobCount(kind=kind, state=state, jobs=min(number, most), is_capped=number > most)


def _teams(session: Session, user: User, team: str | None) -> tuple[str, ...]:
    """Return the teams to list. Raises Problem `not_found`."""
    if team == ALL_TEAMS and user.is_admin:
        return tuple(session.scalars(select(Team.id).order_by(Team.id)))
    return (permissions.team(session, user, team),)


def _find(session: Session, teams: tuple[str, ...], query: JobFilter) -> pagination.PageRows[Job]:
    """Return a page of the teams' jobs; with `app_id`, the app's jobs if the app belongs to one of them."""
    filters = pagination.filters_of(query, "kind", "state")
    if query.app_id is not None:
        app = session.get(App, query.app_id)
        if app is None or app.team_id not in teams:
            return pagination.empty_page(query)
        return pagination.read(session, Job, query, {"app_id": app.id, **filters})
    if query.team == ALL_TEAMS and (query.kind is None or query.user is not None):  # only teams have indexes of kinds
        return pagination.read(session, Job, query, filters)
    return pagination.read(session, Job, query, {"team_id": teams, **filters})


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
    all its events. A comment every 15 seconds keeps the connection open. When the job is over, the last event is `end`:
    a browser's `EventSource` is to be closed then. An `EventSource` of another origin needs a ticket.
    """
    number = _last_event_number() or query.after

    def work(session: Session) -> tuple[Job, bool]:
        if query.ticket is not None:
            auth.use_ticket(session, query.ticket, job_id)
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


@route(blueprint, "GET", "/jobs/<job_id>/ticket", policy=Policy.MEMBER, answers={200: StreamTicket})
def create_ticket(job_id: str) -> Answer:
    """Get a ticket to follow a job from a page of another origin.

    `EventSource` sends no header, and no cookie to another origin: append `?ticket=` to the URL of the events. A ticket
    is for one job and valid for 60 seconds; a page that reconnects later gets a new one, and says `after`. The stream
    ends with your session or API token.
    """
    user, token_hash = auth.require_user(), auth.token_hash()
    service().db.read(lambda session: permissions.job(session, user, job_id))
    ticket, expires_at = tickets.create(job_id, token_hash or "")
    url = f"{links.of_call(f'/jobs/{job_id}/events')}?ticket={ticket}"
    return Answer(body=StreamTicket(ticket=ticket, expires_at=expires_at, events_url=url))


def _adapt_for(user: User | None) -> Adapt:
    view = service().view
    if user is None:
        return view.for_visitors
    return view.for_operators if user.is_admin else view.for_members


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

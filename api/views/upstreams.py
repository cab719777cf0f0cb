"""Upstreams: their state as the workers know it, check-ups, and pauses by administrators."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from flask import Blueprint
from pydantic import Field
from sqlalchemy.orm import Session

from api.access import audit, auth
from api.contract.endpoint import Answer, Policy, RequestBody, ResponseBody
from api.contract.problems import Problem
from api.presentation.upstream_state import UpstreamState, parked_steps, state_of
from api.service import service
from api.serving.accepted import JobAccepted, accepted, request_id
from api.serving.idempotency import once
from api.serving.routing import route
from common.admission import outages, slots
from common.audit import ActionKind, Subject
from common.database.models import Job
from common.jobs import lifecycle, outputs
from common.step_outputs import CheckReport
from common.workflows import CHECKUP, EXTERNAL, INSTALLATION, Upstream

blueprint = Blueprint("upstreams", __name__)


class PauseUpstream(RequestBody):
    """`reason` is shown to every user whose jobs wait for the upstream."""

    reason: Annotated[str, Field(min_length=3, max_length=500)]


class ResumeUpstream(RequestBody):
    """An empty object."""


class Checkup(RequestBody):
    """An empty object."""


class Check(ResponseBody):
    """A check of the doctor. `state`: `well`, `wrong`, or `untold` if it could not be checked."""

    check: str
    question: str
    state: str
    said: str
    remedy: str


class UpstreamShown(ResponseBody):
    """An upstream: `at_work` of at most `at_once` steps are running, `parked` steps (at most 10,000) are waiting.

    `since` and `reason` explain the state; `remedy` says what an administrator can do while it is `refused`.
    `next_look_at` is the time of the next probe while it is down or refused.
    `calls_per_second` is the rate limit, 0 for none.
    """

    name: str
    title: str
    state: UpstreamState
    since: datetime | None
    reason: str | None
    remedy: str | None
    paused_by: str | None
    next_look_at: datetime | None
    at_work: int
    at_once: int
    calls_per_second: float
    parked: int
    checks: list[Check]


class Upstreams(ResponseBody):
    """All upstreams. `checkup` is the last check-up that has finished: `checks` are its results for each upstream, and
    `others` its results for Slipway itself (settings, database, broker).
    """

    upstreams: list[UpstreamShown]
    others: list[Check]
    checkup: str | None
    checked_at: datetime | None


@route(blueprint, "GET", "/upstreams", policy=Policy.ADMIN, answers={200: Upstreams})
def list_upstreams() -> Answer:
    """List the upstreams with their state and the results of the last check-up."""
    return Answer(body=service().db.read(_shown))


@route(blueprint, "POST", "/upstreams/checkups", policy=Policy.ADMIN, takes=Checkup, answers={202: JobAccepted})
def check_up(body: Checkup) -> Answer:  # noqa: ARG001 - declared: it takes nothing
    """Check the settings and all upstreams.

    A worker runs the checks and changes nothing. The job's `result` lists every check, with a remedy for each failure.
    `GET /upstreams` shows the last results.
    """

    def work(session: Session) -> Job:
        user = auth.require_user()
        job = lifecycle.accept(
            session,
            CHECKUP,
            now=service().db.now(),
            subject_id=INSTALLATION,
            team_id=user.team_id,
            user_id=user.id,
            request_id=request_id(),
            inputs={},
        )
        audit.record(session, ActionKind.UPSTREAM_CHECK, Subject(kind="upstreams"), job=job)
        return job

    return once(lambda session: accepted(work(session)))


@route(
    blueprint,
    "POST",
    "/upstreams/<upstream>/pause",
    policy=Policy.ADMIN,
    takes=PauseUpstream,
    answers={200: UpstreamShown},
)
def pause_upstream(upstream: str, body: PauseUpstream) -> Answer:
    """Pause an upstream for maintenance.

    Running steps finish; further steps wait until the upstream is resumed, without using an attempt. The password of a
    sign-up is stored for one day only, so sign-ups that wait longer than that fail.
    """
    name, by = _find_upstream(upstream), auth.require_user().login
    _record_ahead(ActionKind.UPSTREAM_PAUSE, name, reason=body.reason)

    def work(session: Session) -> Answer:
        db = service().db
        outages.pause(db, name, by=by, reason=body.reason, now=db.now(), within=session)
        return _one(session, name)

    return once(work)


@route(
    blueprint,
    "POST",
    "/upstreams/<upstream>/resume",
    policy=Policy.ADMIN,
    takes=ResumeUpstream,
    answers={200: UpstreamShown},
)
def resume_upstream(upstream: str, body: ResumeUpstream) -> Answer:  # noqa: ARG001 - declared: it takes nothing
    """Resume a paused or refused upstream.

    A few steps start at first, then twice as many every few seconds. If the upstream is `refused`, this ends the hold
    at once instead of after the next check; a refusal begins it again. Nothing happens if it is neither.
    """
    name = _find_upstream(upstream)
    _record_ahead(ActionKind.UPSTREAM_RESUME, name)

    def work(session: Session) -> Answer:
        outages.resume(service().db, name, service().db.now(), within=session)
        return _one(session, name)

    return once(work)


def _record_ahead(kind: ActionKind, name: Upstream, reason: str | None = None) -> None:
    """Record the act before it is done: on MySQL, the row of an upstream is changed by a statement of its own."""

    def work(session: Session) -> None:
        status = outages.read(session, (name,)).get(name)
        before = {"paused_by": status.paused_by, "reason": status.pause_reason} if status and status.paused_at else None
        subject = Subject(kind="upstream", id=name.value, name=name.label)
        audit.record(session, kind, subject, reason=reason, before=before)

    service().db.transaction(work)


def _find_upstream(name: str) -> Upstream:
    found = next((upstream for upstream in EXTERNAL if upstream.value == name), None)
    if found is None:
        raise Problem("not_found", f"Choose one of the upstreams {', '.join(EXTERNAL)}.")
    return found


def _one(session: Session, name: Upstream) -> Answer:
    return Answer(body=next(each for each in _shown(session).upstreams if each.name == name))


def _shown(session: Session) -> Upstreams:
    job, checks = _last_checkup(session)
    statuses, now = outages.read(session), service().db.now()
    in_use = slots.in_use(session, now)
    limits = slots.limits_of(service().settings)
    return Upstreams(
        upstreams=[
            UpstreamShown(
                name=name,
                title=name.label,
                at_work=in_use.get(name, 0),
                at_once=limits[name].at_once,
                calls_per_second=limits[name].calls_per_s,
                parked=parked_steps(session, name),
                checks=checks.pop(name.label, []),
                **state_of(statuses.get(name)),
            )
            for name in EXTERNAL
        ],
        others=[check for group in checks.values() for check in group],
        checkup=job.id if job else None,
        checked_at=job.finished_at if job else None,
    )


def _last_checkup(session: Session) -> tuple[Job | None, dict[str, list[Check]]]:
    """Return the last check-up that succeeded, and its checks by group."""
    found = outputs.last_checkup(session, INSTALLATION)
    if found is None:
        return None, {}
    job, report = found
    groups: dict[str, list[Check]] = {}
    for each in report["checks"]:
        groups.setdefault(each["group"], []).append(_check(each))
    return job, groups


def _check(report: CheckReport) -> Check:
    return Check(
        check=report["check"],
        question=report["question"],
        state=report["state"],
        said=report["said"],
        remedy=report["remedy"],
    )

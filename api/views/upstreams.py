"""Can the upstreams be worked with?  What the workers know of them, and what administrators say about it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from flask import Blueprint
from pydantic import Field
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from api.access import auth
from api.contract.endpoint import Answer, Policy, RequestBody, ResponseBody
from api.contract.problems import Problem
from api.service import service
from api.serving.accepted import JobAccepted, accepted, request_id
from api.serving.idempotency import once
from api.serving.routing import route
from common.admission import outages, slots
from common.admission.outages import EXTERNAL
from common.database.models import Job, Step, UpstreamStatus
from common.jobs import lifecycle
from common.workflows import CHECKUP, Upstream

blueprint = Blueprint("upstreams", __name__)

INSTALLATION = str(UUID(int=0))  # the subject of a check-up: this installation
PARKED_COUNTED = 10_000  # as far as `parked` counts


class UpstreamState(StrEnum):
    """open · in_doubt: steps got no answer, a worker looks whether it is down · down: it is looked at until it answers
    · paused: by an administrator. Nothing goes to one that is not open.
    """

    OPEN = "open"
    IN_DOUBT = "in_doubt"
    DOWN = "down"
    PAUSED = "paused"


class PauseUpstream(RequestBody):
    """`reason` is shown to everybody whose jobs wait for it."""

    reason: Annotated[str, Field(min_length=3, max_length=500)]


class ResumeUpstream(RequestBody):
    """An empty object."""


class Checkup(RequestBody):
    """An empty object."""


class Check(ResponseBody):
    """One of the doctor's checks. `state`: well, wrong, or untold where it could not be looked at."""

    check: str
    question: str
    state: str
    said: str
    remedy: str


class UpstreamShown(ResponseBody):
    """`at_work` of `at_once` steps are at work there, `parked` ones (counted up to 10,000) wait until they may go.

    `since`, `reason` say how it came to be as it is; `next_look_at` when it is looked at while it is down;
    `calls_per_second` is 0 where they are not limited.
    """

    name: str
    title: str
    state: UpstreamState
    since: datetime | None
    reason: str | None
    paused_by: str | None
    next_look_at: datetime | None
    at_work: int
    at_once: int
    calls_per_second: float
    parked: int
    checks: list[Check]


class Upstreams(ResponseBody):
    """`checkup` is the last check-up that ended; every `checks` is its, and `others` what it said of our own parts:
    settings, database, broker.
    """

    upstreams: list[UpstreamShown]
    others: list[Check]
    checkup: str | None
    checked_at: datetime | None


@route(blueprint, "GET", "/upstreams", policy=Policy.ADMIN, answers={200: Upstreams})
def list_upstreams() -> Answer:
    """Say of every upstream whether it can be worked with, and what the last check-up found."""
    return Answer(body=service().db.read(_shown))


@route(blueprint, "POST", "/upstreams/checkups", policy=Policy.ADMIN, takes=Checkup, answers={202: JobAccepted})
def check_up(body: Checkup) -> Answer:  # noqa: ARG001 - declared: it takes nothing
    """Have a worker check the settings and every upstream, reading only.

    The job's `result` has every check with what to do about what is wrong; GET /upstreams shows the last one.
    """

    def work(session: Session) -> Job:
        user = auth.require_user()
        return lifecycle.accept(
            session,
            CHECKUP,
            now=service().db.now(),
            subject_id=INSTALLATION,
            team_id=user.team_id,
            user_id=user.id,
            request_id=request_id(),
            inputs={},
        )

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
    """Keep an upstream free for maintenance.

    What is at work there ends; further steps wait, without using an attempt, until it is resumed. The password of a
    sign-up is kept for a day only: a longer pause fails those that wait for it.
    """
    name, by = _find_upstream(upstream), auth.require_user().login

    def work(session: Session) -> Answer:
        outages.pause(session, name, by=by, reason=body.reason, now=service().db.now())
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
    """End a pause, if there is one.

    Few steps go at first, then twice as many every few seconds.
    """
    name = _find_upstream(upstream)

    def work(session: Session) -> Answer:
        outages.resume(session, name, service().db.now())
        return _one(session, name)

    return once(work)


def _find_upstream(name: str) -> Upstream:
    found = next((upstream for upstream in EXTERNAL if upstream.value == name), None)
    if found is None:
        raise Problem("not_found", f"The upstreams are {', '.join(EXTERNAL)}.")
    return found


def _one(session: Session, name: Upstream) -> Answer:
    session.flush()
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
                parked=_parked(session, name),
                checks=checks.pop(name.label, []),
                **_state(statuses.get(name)),
            )
            for name in EXTERNAL
        ],
        others=[check for group in checks.values() for check in group],
        checkup=job.id if job else None,
        checked_at=job.finished_at if job else None,
    )


def _state(status: UpstreamStatus | None) -> dict[str, Any]:
    state, since, reason = UpstreamState.OPEN, status.open_since if status else None, None
    if status is not None and status.paused_at is not None:
        state, since, reason = UpstreamState.PAUSED, status.paused_at, status.pause_reason
    elif status is not None and status.look_at is not None:
        state = UpstreamState.DOWN if status.down_since else UpstreamState.IN_DOUBT
        since, reason = status.down_since, status.reason
    return {
        "state": state,
        "since": since,
        "reason": reason,
        "paused_by": status.paused_by if status else None,
        "next_look_at": status.look_at if status else None,
    }


def _parked(session: Session, name: Upstream) -> int:
    some = select(Step.id).where(Step.upstream == name, *slots.IS_PARKED).limit(PARKED_COUNTED)
    return session.scalar(select(func.count()).select_from(some.subquery())) or 0


def _last_checkup(session: Session) -> tuple[Job | None, dict[str, list[Check]]]:
    """Return the last one that ended well, and its checks by what they look at."""
    ended = (
        select(Job, Step.output)
        .join(Step, Step.job_id == Job.id)
        .where(Job.subject_id == INSTALLATION, Step.name == CHECKUP.result, Step.output.is_not(None))
        .order_by(Job.id.desc())
        .limit(1)
    )
    found = session.execute(ended).first()
    if found is None:
        return None, {}
    job, report = found
    groups: dict[str, list[Check]] = {}
    for each in report["checks"]:
        groups.setdefault(each["group"], []).append(Check(**{key: each[key] for key in Check.model_fields}))
    return job, groups

"""Interventions in a job: retry it, skip a step, cancel it, read its log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from flask import Blueprint
from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.access import audit, auth, permissions, rate_limits
from api.contract.endpoint import Answer, Policy, Query, RequestBody, ResponseBody, WholeNumber
from api.contract.problems import FieldError, Problem
from api.service import service
from api.serving.accepted import JobAccepted, accepted
from api.serving.idempotency import once
from api.serving.routing import route
from api.views import app_jobs, bulk_retry
from api.views.bulk_retry import Retries, RetryAll
from common.audit import ActionKind
from common.database.models import Job, User
from common.jobs import build_log, interventions, lane_messages, lifecycle
from common.jobs.interventions import NotPossibleError
from common.states import OPEN, JobState
from common.vault import sealed_passwords
from common.workflows import CHANGE_PASSWORD, OFFBOARD, SIGNUP

blueprint = Blueprint("interventions", __name__)


class Retry(RequestBody):
    """`password`: that of the sign-up, or the new one of a change, if the retry was refused with `password_needed`."""

    password: Annotated[str | None, Field(max_length=256, repr=False)] = None


class Skip(RequestBody):
    """`reason` is stored with the step."""

    reason: Annotated[str, Field(min_length=3, max_length=500)]


class Cancel(RequestBody):
    """An empty object."""


class Poll(RequestBody):
    """An empty object."""


class LogQuery(Query):
    """`start` is an offset in characters; send the `next_start` of the last response."""

    start: Annotated[int, Field(ge=0, le=build_log.CHARACTERS), WholeNumber] = 0


class Log(ResponseBody):
    """A part of the console log. While `more` is true, there is or may come more text: continue at `next_start`."""

    text: str
    start: int
    next_start: int
    more: bool
    truncated: bool


@route(
    blueprint,
    "POST",
    "/jobs/<job_id>/retry",
    policy=Policy.VISITOR,
    takes=Retry,
    answers={202: JobAccepted},
    raises=("not_admin", "not_failed", "password_needed", "is_over", "busy", "too_many_requests"),
)
def retry_job(job_id: str, body: Retry) -> Answer:
    """Retry a failed job under the same ID.

    Only the failed steps run again, with all their attempts. If the retry of a sign-up is refused with
    `password_needed`, send the `password` that was used for the sign-up.
    """
    user, password = auth.find_user(), body.password
    if password is not None:
        _check_password(job_id, user, password)

    def work(session: Session) -> Job:
        job = permissions.job(session, user, job_id)
        _require_may_change(job, user)
        return retry_failed(session, job, password=password)

    return _resume(work)


@route(
    blueprint,
    "POST",
    "/jobs/retry",
    policy=Policy.ADMIN,
    takes=RetryAll,
    answers={200: Retries},
    raises=("not_found",),
)
def retry_jobs(body: RetryAll) -> Answer:
    """Retry all failed jobs that match.

    Each job is retried under the rules of its own retry endpoint, newest first. A job does not match if a newer job of
    its kind exists or if its app or user is gone. The removal of an app matches only if `kind` is `deprovision`, and no
    longer once a repair has succeeded after it. With `dry_run`, nothing changes and `retried` lists what would be
    retried.
    """
    user = auth.require_user()
    service().db.read(lambda session: permissions.team(session, user, body.team))
    return bulk_retry.retry_all(
        body, lambda session, job_id: retry_failed(session, permissions.own_job(session, user, job_id))
    )


@route(
    blueprint,
    "POST",
    "/jobs/<job_id>/steps/<step>/skip",
    policy=Policy.ADMIN,
    takes=Skip,
    answers={202: JobAccepted},
    raises=("not_failed", "not_skippable", "is_over", "busy"),
)
def skip_step(job_id: str, step: str, body: Skip) -> Answer:
    """Skip a failed step.

    Use this after completing the step by hand. The job continues with the next step.
    """
    user = auth.require_user()
    reason = f"{body.reason} ({user.login})"

    def work(session: Session) -> Job:
        job = permissions.own_job(session, user, job_id)
        app_jobs.require_relevant(session, job)
        interventions.skip(session, job.id, step, reason=reason, now=service().db.now())
        audit.record(session, ActionKind.JOB_SKIP_STEP, job, job=job, reason=body.reason, after={"step": step})
        return job

    return _resume(work)


@route(
    blueprint,
    "POST",
    "/jobs/<job_id>/cancel",
    policy=Policy.MEMBER,
    takes=Cancel,
    answers={202: JobAccepted},
    raises=("not_admin", "is_over"),
)
def cancel_job(job_id: str, body: Cancel) -> Answer:  # noqa: ARG001 - an empty body is still checked
    """Cancel a job.

    The job stops before its next step, and a build that it started is stopped as well.
    """
    user = auth.require_user()

    def work(session: Session) -> Job:
        job = permissions.own_job(session, user, job_id)
        _require_may_change(job, user)
        return cancel(session, job)

    return _resume(work)


@route(
    blueprint,
    "POST",
    "/jobs/<job_id>/poll",
    policy=Policy.MEMBER,
    takes=Poll,
    answers={202: JobAccepted},
    raises=("not_admin", "is_over", "nothing_to_poll"),
)
def poll_job(job_id: str, body: Poll) -> Answer:  # noqa: ARG001 - an empty body is still checked
    """Poll now what a job waits for.

    Steps that wait for their next poll or attempt begin at once, instead of at `next_look_at`; for example after an
    outage. An attempt that is brought forward counts as any other. Steps that are held back because an upstream is
    down, paused or busy go on by themselves.
    """
    user = auth.require_user()

    def work(session: Session) -> Job:
        job = permissions.own_job(session, user, job_id)
        _require_may_change(job, user)
        interventions.poll(session, job.id, service().db.now())
        audit.record(session, ActionKind.JOB_POLL, job, job=job)
        return job

    return _resume(work)


@route(blueprint, "GET", "/jobs/<job_id>/log", policy=Policy.MEMBER, query=LogQuery, answers={200: Log})
def read_log(job_id: str, query: LogQuery) -> Answer:
    """Read the log of a build from an offset.

    The log can be read while the build is running and afterwards.
    """
    user = auth.require_user()

    def work(session: Session) -> Log:
        job = permissions.own_job(session, user, job_id)
        page = build_log.read(session, job.id, start=query.start)
        return Log(
            text=page.text,
            start=page.start,
            next_start=page.next_start,
            more=job.state in OPEN or not page.is_end,
            truncated=page.next_start >= build_log.CHARACTERS,
        )

    return Answer(body=service().db.read(work))


def cancel(session: Session, job: Job) -> Job:
    """Cancel a job, on somebody's request. Raises NotPossibleError. Twice is one act."""
    lifecycle.lock(session, job.id)  # two that cancel at the same time: the second one sees what the first one did
    before = {"state": job.state.value}
    cancelled = interventions.cancel(session, job.id, service().db.now())
    after = {"state": cancelled.state.value}
    is_new = before != after
    audit.record_if(is_new, session, ActionKind.JOB_CANCEL, cancelled, job=cancelled, before=before, after=after)
    return cancelled


def retry_failed(session: Session, job: Job, *, password: str | None = None) -> Job:
    """Retry a failed job, alone or as one of many. Raises Problem, NotPossibleError."""
    app_jobs.require_relevant(session, job)
    if password is not None and interventions.needs_secret(session, job):
        now = service().db.now()
        sealed_passwords.seal_again(session, service().vault, job_id=job.id, password=password, now=now)
    interventions.retry(session, job.id, service().db.now())
    audit.record(session, ActionKind.JOB_RETRY, job, job=job)
    return job


def _resume(work: Callable[[Session], Job]) -> Answer:
    def change(session: Session) -> Answer:
        job = work(session)
        return accepted(job, lanes=lane_messages.of_resumed_job(session, job), is_new=False)

    try:
        return once(change)
    except NotPossibleError as error:
        raise Problem(error.code, str(error)) from None


def _require_may_change(job: Job, user: User | None) -> None:
    """Refuse what is not a colleague's business: the closing of accounts, and another person's password.

    Raises Problem `not_admin`.
    """
    if user is not None and user.is_admin:
        return
    if job.kind == OFFBOARD.name:
        raise Problem("not_admin", "Only administrators may change an off-boarding.")
    if job.kind == CHANGE_PASSWORD.name and (user is None or user.id != job.subject_id):
        raise Problem("not_admin", "Only the person and administrators may change the job of a new password.")


def _check_password(job_id: str, user: User | None, password: str) -> None:
    """Accept a password only for a failed job of a person that still needs it, and only theirs. Raises Problem.

    It is verified outside any transaction, because hashing takes tens of milliseconds.
    """

    def work(session: Session) -> User | None:
        job = permissions.job(session, user, job_id)
        _require_may_change(job, user)
        if job.state is not JobState.FAILED:
            raise Problem("not_failed", "Only a failed job can be retried.")
        if session.scalar(select(Job.id).where(Job.id == job.id, *app_jobs.still_relevant())) is None:
            raise Problem("is_over", "A newer job has replaced it, or the user has been off-boarded.")
        if job.kind not in (SIGNUP.name, CHANGE_PASSWORD.name) or not interventions.needs_secret(session, job):
            return None
        return session.get_one(User, job.subject_id)

    person = service().db.read(work)
    if person is None:
        message = "Remove the password: only the retry of a failed sign-up or password change takes one."
        raise Problem("invalid_fields", errors=[FieldError(field="password", code="not_needed", message=message)])
    with rate_limits.limit_password_attempts(person.login):
        if not service().passwords.is_right(password, person.password_hash):
            message = "Use the password of the sign-up. Accounts that exist already were created with that password."
            raise Problem("invalid_fields", errors=[FieldError(field="password", code="wrong", message=message)])

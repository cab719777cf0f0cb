"""The status of the installation: what an operator wants to know first, in one call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from flask import Blueprint
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from api.contract.endpoint import Answer, Policy, ResponseBody
from api.monitoring.backlog import GONE_AFTER, WRONG
from api.monitoring.queue_age import due_steps
from api.presentation.upstream_state import UpstreamState, parked_steps, state_of
from api.service import service
from api.serving.routing import route
from common.admission import outages, slots
from common.database.ids import EPOCH
from common.database.models import App, Attempt, Job, NotificationTarget, Step, User, WorkerPresence
from common.jobs import outputs
from common.notifications import queues
from common.states import JobState, StepState
from common.workflows import EXTERNAL, INSTALLATION, Upstream

blueprint = Blueprint("status", __name__)

FAILURES_OF = timedelta(hours=1)
FAILURES_SHOWN = 50
FAILED_READ = 200  # of the jobs that were accepted last
QUEUE_MAY_BE_S = 60.0  # older: workers are too few, or stand still
RUNNING_AT_ONCE = 10_000


class UpstreamSummary(ResponseBody):
    """An upstream: its state since when and why, steps that run, and steps that wait for it (at most 10,000)."""

    name: str
    title: str
    state: UpstreamState
    since: datetime | None
    reason: str | None
    at_work: int
    parked: int


class WorkerShown(ResponseBody):
    """A worker process. `at_work` steps of at most `concurrency` are running. Not `is_running`: it ended without saying
    so, at about `seen_at`.
    """

    name: str
    started_at: datetime
    seen_at: datetime
    is_running: bool
    concurrency: int
    at_work: int


class QueueShown(ResponseBody):
    """Steps of an upstream that are due and have not been started, and for how long the oldest has been due."""

    upstream: str
    due: int
    oldest_s: float


class FailureShown(ResponseBody):
    """A step that has failed, with its job. `app` is the app's name, `user` the login of who asked for the job."""

    at: datetime
    job_id: str
    kind: str
    team: str
    app: str | None
    user: str | None
    step: str
    upstream: str
    code: str | None
    reason: str | None


class TargetShown(ResponseBody):
    """A target of notifications: `waiting` notifications that it has not accepted, after `failures` in a row."""

    host: str
    waiting: int
    failures: int
    failing_since: datetime | None
    reason: str | None
    retry_at: datetime | None


class CheckupSummary(ResponseBody):
    """The last check-up that has finished."""

    job_id: str
    at: datetime | None
    failed: int


class StatusShown(ResponseBody):
    """The status. `problems` says in sentences what is wrong; `failures` are those of the last hour among the 200
    failed jobs that were accepted last, newest first, at most 50. Times of a queue are in seconds.
    """

    is_well: bool
    problems: list[str]
    upstreams: list[UpstreamSummary]
    workers: list[WorkerShown]
    queues: list[QueueShown]
    failures: list[FailureShown]
    targets: list[TargetShown]
    checkup: CheckupSummary | None


@route(blueprint, "GET", "/status", policy=Policy.ADMIN, answers={200: StatusShown})
def show_status() -> Answer:
    """Show whether anything is wrong: upstreams, workers, queues, failures of the last hour, notifications.

    A pause by an administrator is shown, and is not wrong.
    """
    is_broker_away = service().publisher.is_resting

    def work(session: Session) -> StatusShown:
        now = service().db.now()
        parts: dict[str, Any] = {
            "upstreams": _upstreams(session, now),
            "workers": _workers(session, now),
            "queues": _queues(session, now),
            "failures": _failures(session, now),
            "targets": _targets(session),
            "checkup": _checkup(session),
        }
        problems = [*_problems(**parts)]
        if is_broker_away:
            problems.append("The broker cannot be reached. Jobs go on, from the database: see the API's log.")
        return StatusShown(is_well=not problems, problems=problems, **parts)

    return Answer(body=service().db.read(work))


def _problems(
    *,
    upstreams: Sequence[UpstreamSummary],
    workers: Sequence[WorkerShown],
    queues: Sequence[QueueShown],
    failures: Sequence[FailureShown],
    targets: Sequence[TargetShown],
    checkup: CheckupSummary | None,
) -> Iterator[str]:
    yield from _of_work(upstreams, workers, queues)
    if failures:
        jobs = len({each.job_id for each in failures})
        yield f"{jobs} {'job has' if jobs == 1 else 'jobs have'} failed in the last hour."
    for target in targets:
        if target.failures:
            yield f"{target.host} accepts no notifications, and {target.waiting} wait: {target.reason}."
    if checkup is not None and checkup.failed:
        yield f"The last check-up found {checkup.failed} things wrong: slipway jobs show {checkup.job_id}"


def _of_work(
    upstreams: Sequence[UpstreamSummary], workers: Sequence[WorkerShown], queues: Sequence[QueueShown]
) -> Iterator[str]:
    for each in upstreams:
        if each.state not in (UpstreamState.OPEN, UpstreamState.PAUSED):
            yield f"{each.title} is {each.state.value.replace('_', ' ')}, and {each.parked} steps wait for it."
    if not any(each.is_running for each in workers):
        yield "No worker runs. Start one: celery -A worker worker."
    for queue in queues:
        if queue.oldest_s > QUEUE_MAY_BE_S:
            name = Upstream(queue.upstream).label
            yield f"{queue.due} steps of {name} are due, the oldest for {queue.oldest_s:.0f} s: workers are too few."


def _upstreams(session: Session, now: datetime) -> list[UpstreamSummary]:
    statuses, in_use = outages.read(session), slots.in_use(session, now)
    found = []
    for name in EXTERNAL:
        state = state_of(statuses.get(name))
        found.append(
            UpstreamSummary(
                name=name,
                title=name.label,
                state=state["state"],
                since=state["since"],
                reason=state["reason"],
                at_work=in_use.get(name, 0),
                parked=parked_steps(session, name),
            )
        )
    return found


def _workers(session: Session, now: datetime) -> list[WorkerShown]:
    running = (
        select(Attempt.worker)
        .join(Step, (Step.id == Attempt.step_id) & (Step.attempts == Attempt.number))
        .where(Step.nudge_at > EPOCH, Step.state == StepState.RUNNING)
        .limit(RUNNING_AT_ONCE)
        .subquery()
    )
    of_each = select(running.c.worker, func.count()).group_by(running.c.worker)
    at_work: dict[str, int] = {row[0]: row[1] for row in session.execute(of_each)}
    rows = session.scalars(select(WorkerPresence).order_by(WorkerPresence.name))
    return [
        WorkerShown(
            name=row.name,
            started_at=row.started_at,
            seen_at=row.seen_at,
            is_running=row.seen_at > now - GONE_AFTER,
            concurrency=row.concurrency,
            at_work=at_work.get(row.name, 0),
        )
        for row in rows
    ]


def _queues(session: Session, now: datetime) -> list[QueueShown]:
    due = due_steps(session, now)
    return [
        QueueShown(upstream=name, due=count, oldest_s=max(0.0, (now - since).total_seconds()))
        for name, (count, since) in sorted(due.items())
    ]


def _failures(session: Session, now: datetime) -> list[FailureShown]:
    """Read them by the index of failed jobs, newest first: what it costs does not depend on what else has ended."""
    newest = select(Job.id).where(Job.state == JobState.FAILED).order_by(Job.id.desc()).limit(FAILED_READ)
    of_them = (Step.job_id.in_(session.scalars(newest).all()), Step.state == StepState.FAILED)
    columns = (Step.name, Step.upstream, Step.code, Step.reason, Step.finished_at)
    rows = session.execute(
        select(Job, App.name, User.login, *columns)
        .join(Step, Step.job_id == Job.id)
        .outerjoin(App, App.id == Job.app_id)
        .outerjoin(User, User.id == Job.user_id)
        .where(*of_them)
    ).all()
    lately = [row for row in rows if row.finished_at > now - FAILURES_OF]
    lately.sort(key=lambda row: row.finished_at, reverse=True)
    return [
        FailureShown(
            at=at,
            job_id=job.id,
            kind=job.kind,
            team=job.team_id,
            app=app,
            user=login,
            step=step,
            upstream=upstream,
            code=code,
            reason=(reason or "").partition("\n")[0] or None,
        )
        for job, app, login, step, upstream, code, reason, at in lately[:FAILURES_SHOWN]
    ]


def _targets(session: Session) -> list[TargetShown]:
    waiting = queues.waiting(session)
    return [
        TargetShown(
            host=row.host,
            waiting=waiting.get(row.name, 0),
            failures=row.failures,
            failing_since=row.failing_since,
            reason=row.reason,
            retry_at=row.retry_at,
        )
        for row in session.scalars(select(NotificationTarget).order_by(NotificationTarget.host))
    ]


def _checkup(session: Session) -> CheckupSummary | None:
    found = outputs.last_checkup(session, INSTALLATION)
    if found is None:
        return None
    job, report = found
    return CheckupSummary(job_id=job.id, at=job.finished_at, failed=report["counts"].get(WRONG, 0))

"""Start jobs for an existing app; jobs that would conflict run one at a time.

The app's row is locked while its jobs are read and the new one is written, so of several concurrent requests, one
creates the job and the others return it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from api.access import audit, permissions
from api.contract.endpoint import Answer
from api.contract.problems import FieldError, Problem
from api.service import service
from api.serving.accepted import accepted, request_id
from api.serving.idempotency import once
from common.audit import ActionKind
from common.database.models import App, Job, User
from common.jobs import builds, lifecycle
from common.states import OPEN, JobState
from common.workflows import (
    BUILD,
    CHANGE_PASSWORD,
    DEPLOY,
    DEPROVISION,
    DRIFT,
    HARMLESS,
    MADE_BY,
    MEMBERSHIP,
    OFFBOARD,
    PROVISION,
    RECONCILE,
    REMOVAL_PREVIEW,
    SIGNUP,
    WORKFLOWS,
    Workflow,
)

Present = Callable[[Session, Answer], Answer]  # the answer to an accepted job, as something else
EXCLUSIVE = frozenset({PROVISION.name, DEPROVISION.name, RECONCILE.name})  # no other job may run at the same time
OF_A_PERSON = (SIGNUP.name, OFFBOARD.name, CHANGE_PASSWORD.name)  # their subject is a user
RESEND_WINDOW = timedelta(seconds=10)  # a GET that is repeated so soon was resent by the browser or a proxy

ACTIONS = {
    BUILD.name: ActionKind.BUILD_START,
    DEPLOY.name: ActionKind.DEPLOY_START,
    DEPROVISION.name: ActionKind.APP_REMOVE,
    REMOVAL_PREVIEW.name: ActionKind.APP_PREVIEW_REMOVAL,
    RECONCILE.name: ActionKind.APP_REPAIR,
    DRIFT.name: ActionKind.APP_COMPARE,
}
RECORDED = ("image_tag", "branch", "revision", "rollback_of", "purge")  # of the inputs

Choose = Callable[[Session, App], dict[str, str]]
"""Returns the inputs that are chosen for the user when a job is accepted, by their names. May raise Problem."""

REFUSALS = ("busy", "not_provisioned")  # problems of a view that starts such a job, besides `not_found`


def begin(
    user: User,
    app_id: str,
    workflow: Workflow,
    inputs: dict[str, Any],
    *,
    is_resendable: bool = False,
    headers: Mapping[str, str] | None = None,
    choose: Choose | None = None,
    confirmed: str | None = None,
    present: Present | None = None,
) -> Answer:
    """Answer with a new job, or an open job that does the same. Raises Problem `not_found` and the `REFUSALS`.

    A build that may have checked out does not do the same as one that is requested now: one more is queued.

    What `choose` adds to the inputs of a new job is recorded there as `chosen`. `confirmed` must be the app's name:
    Problem `invalid_fields` otherwise. `present` returns another answer than 202.
    """

    def work(session: Session) -> tuple[Job, bool]:
        app = permissions.app(session, user, app_id, for_update=True)
        if confirmed is not None:
            _require_confirmed(app, confirmed)
        open_jobs = _that_matter(session, workflow, app, _open_jobs(session, app))
        wanted = {"app": app.name, "type": app.type, "team": app.team_id, **inputs}
        same = next((job for job in open_jobs if _is_same(job, workflow, wanted)), None)
        if same is None and is_resendable:
            same = _find_recent(session, app, user, workflow, wanted)
        if same is not None:
            _record(session, app, same, is_new=False)
            return same, False
        _require_free(workflow, open_jobs)
        if workflow in (BUILD, DEPLOY):
            _require_provisioned(session, app)
        chosen = choose(session, app) if choose is not None else {}
        job = lifecycle.accept(
            session,
            workflow,
            now=service().db.now(),
            subject_id=app.id,
            team_id=app.team_id,
            user_id=user.id,
            app_id=app.id,
            after=_newest(session, app),
            request_id=request_id(),
            inputs={**wanted, **chosen, "chosen": sorted(chosen)} if chosen else wanted,
        )
        _record(session, app, job, is_new=True)
        return job, True

    def answer(session: Session) -> Answer:
        job, is_new = work(session)
        made = accepted(job, headers=headers, is_new=is_new)
        return present(session, made) if present else made

    return once(answer)


def _record(session: Session, app: App, job: Job, *, is_new: bool) -> None:
    """Record the act; a request that an open job answers is one, too."""
    is_rollback = job.input.get("rollback_of") is not None
    kind = ActionKind.DEPLOY_ROLL_BACK if is_rollback else ACTIONS[job.kind]
    asked = {name: job.input[name] for name in RECORDED if job.input.get(name) is not None}
    audit.record(session, kind, app, job=job, after=asked if is_new else {**asked, "is_new": False})


def _require_confirmed(app: App, confirmed: str) -> None:
    if confirmed != app.name:
        message = f"Add ?confirm={app.name}, the name of the app, to confirm that it is to be removed."
        code = "invalid" if confirmed else "missing"
        raise Problem("invalid_fields", errors=[FieldError(field="confirm", code=code, message=message)])


def require_relevant(session: Session, job: Job) -> None:
    """Refuse to resume a job that is obsolete. Raises Problem `is_over`, `busy`."""
    if job.kind in OF_A_PERSON:
        _require_relevant_to_person(session, job)
    if job.app_id is None:
        return
    app = session.get_one(App, job.app_id, with_for_update=True)
    if app.claimed_name is None:
        raise Problem("is_over", "The app has been removed.")
    newer = select(Job.id).where(Job.app_id == app.id, Job.kind == job.kind, Job.id > job.id).limit(1)
    if session.scalar(newer) is not None:
        raise Problem("is_over", "A newer job of this kind has replaced it.")
    if session.scalar(select(Job.id).where(Job.id == job.id, _is_mended())) is not None:
        raise Problem("is_over", "The app was repaired after this removal had failed. To remove it, remove it anew.")
    _require_free(WORKFLOWS[job.kind], [each for each in _open_jobs(session, app) if each.id != job.id])


def _require_relevant_to_person(session: Session, job: Job) -> None:
    """Refuse what would give the rights of a former team, or close the accounts of somebody who came back."""
    person = session.get_one(User, job.subject_id, with_for_update=True)
    if job.kind != OFFBOARD.name and person.left_at is not None:
        raise Problem("is_over", "The user has been off-boarded.")
    of_person = select(Job).where(Job.subject_id == person.id)
    if session.scalar(of_person.where(Job.kind.in_(MEMBERSHIP), Job.id > job.id).limit(1)) is not None:
        raise Problem("is_over", "A newer sign-up or off-boarding of this user has replaced it.")
    running = session.scalar(of_person.where(Job.state.in_(OPEN), Job.id != job.id).limit(1))
    if running is not None:
        raise Problem("busy", f"A {running.kind} job of this user is running. Wait for it.", job_id=running.id)


def still_relevant() -> list[ColumnElement[bool]]:
    """Return the permanent conditions of `require_relevant` for use in a query."""
    newer, later = aliased(Job), aliased(Job)
    return [
        or_(
            Job.kind.not_in((SIGNUP.name, CHANGE_PASSWORD.name)),
            ~exists().where(User.id == Job.subject_id, User.left_at.is_not(None)),
        ),
        or_(Job.app_id.is_(None), exists().where(App.id == Job.app_id, App.claimed_name.is_not(None))),
        ~exists().where(newer.app_id == Job.app_id, newer.kind == Job.kind, newer.id > Job.id),
        ~_is_mended(),
        or_(
            Job.kind.not_in(OF_A_PERSON),
            ~exists().where(later.subject_id == Job.subject_id, later.kind.in_(MEMBERSHIP), later.id > Job.id),
        ),
    ]


def _is_mended() -> ColumnElement[bool]:
    """Return the condition for a removal of an app whose parts were made or confirmed after it had ended.

    To go on with it would destroy an app that is in use. What was accepted before the removal, and retried after it,
    counts as well: not the order of the ids decides, but when the work ended.
    """
    mending = aliased(Job)
    is_later = or_(
        mending.finished_at > Job.finished_at, and_(mending.finished_at == Job.finished_at, mending.id > Job.id)
    )
    made = (mending.app_id == Job.app_id, mending.kind.in_(MADE_BY), mending.state == JobState.SUCCEEDED)
    return and_(Job.kind == DEPROVISION.name, exists().where(*made, is_later))


def _is_same(job: Job, workflow: Workflow, wanted: dict[str, Any]) -> bool:
    """Return whether the job does what is requested; one that is being cancelled does not, it is a conflict."""
    return job.kind == workflow.name and _asked(job) == _given(wanted) and job.state is not JobState.CANCELLING


def _asked(job: Job) -> dict[str, Any]:
    """Return the inputs of a job that the user sent: without those that were chosen."""
    chosen = {"chosen", *job.input.get("chosen", ())}
    return _given({name: value for name, value in job.input.items() if name not in chosen})


def _given(inputs: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in inputs.items() if value is not None}


def _open_jobs(session: Session, app: App) -> list[Job]:
    return list(session.scalars(select(Job).where(Job.app_id == app.id, Job.state.in_(OPEN))))


def _newest(session: Session, app: App) -> str | None:
    """Return the id of the app's last job. The next id is greater: builds run, and facts are read, in that order.

    The clocks of the API's hosts differ; the app's row is locked, so the order is that of acceptance.
    """
    return session.scalar(select(func.max(Job.id)).where(Job.app_id == app.id))


def _that_matter(session: Session, workflow: Workflow, app: App, open_jobs: list[Job]) -> list[Job]:
    """Return the open jobs that a new one may be answered with, or conflict with.

    A build that may have checked out is neither: it lacks what was pushed since, and the next one waits until it ends.
    """
    if workflow is not BUILD:
        return open_jobs
    begun = builds.with_jenkins(session, app.id, [job for job in open_jobs if job.kind == BUILD.name])
    return [job for job in open_jobs if job.id not in begun]


def _find_recent(session: Session, app: App, user: User, workflow: Workflow, wanted: dict[str, Any]) -> Job | None:
    since = service().db.now() - RESEND_WINDOW
    recent = session.scalars(
        select(Job)
        .where(Job.app_id == app.id, Job.kind == workflow.name, Job.user_id == user.id, Job.created_at >= since)
        .order_by(Job.id.desc())
    )
    return next((job for job in recent if _asked(job) == _given(wanted)), None)


def _require_free(workflow: Workflow, open_jobs: list[Job]) -> None:
    if workflow.name in HARMLESS:
        return
    conflicting = [
        job
        for job in open_jobs
        if job.kind not in HARMLESS
        and (workflow.name in EXCLUSIVE or job.kind in EXCLUSIVE or job.kind == workflow.name)
    ]
    if conflicting:
        job = conflicting[0]
        raise Problem(
            "busy", f"A {job.kind} job is running for this app. Wait for it to finish, or cancel it.", job_id=job.id
        )


def _require_provisioned(session: Session, app: App) -> None:
    made = session.scalar(
        select(Job.id).where(Job.app_id == app.id, Job.kind.in_(MADE_BY), Job.state == JobState.SUCCEEDED).limit(1)
    )
    if made is None:
        raise Problem(
            "not_provisioned", "The job that provisions the app did not succeed. Retry it, or remove the app."
        )

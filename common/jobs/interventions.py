"""Interventions of people: retry what failed, skip a step, poll now, cancel. The job's id stays the same."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from common import workflows
from common.database.models import Attempt, Job, SignupReview, Step
from common.jobs import lifecycle
from common.jobs.events import transition, transition_job
from common.states import OPEN, PASSED, UNDECIDED, UNSETTLED, JobState, Outcome, ReviewState, StepState
from common.vault import sealed_passwords


class NotPossibleError(Exception):
    """The job's state does not allow it; `code` is stable, the message says what does."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def retry(session: Session, job_id: str, now: datetime) -> Job:
    """Give every failed step of a failed job its turn again, with all its attempts. Done steps stay done.

    Raises NotPossibleError: `not_failed`, or `password_needed` when a step needs the secret that was wiped.
    """
    job = _failed_job(session, job_id)
    steps = _steps(session, job)
    is_kept = sealed_passwords.is_kept(session, job.id)
    if needs_secret(session, job) and not is_kept:
        raise NotPossibleError("password_needed", "The password has been deleted: send it again.")
    for step in steps:
        if step.state is StepState.FAILED:
            _begin_again(step, now)
    return _reopen(session, job, now)


def needs_secret(session: Session, job: Job) -> bool:
    """Say whether a step that is not done yet reads the job's secret."""
    return any(step.needs_secret and step.state not in PASSED for step in _steps(session, job))


def skip(session: Session, job_id: str, step_name: str, *, reason: str, now: datetime) -> Job:
    """Let the lane continue after a failed step. Raises NotPossibleError: `not_failed`, `not_skippable`."""
    job = _failed_job(session, job_id)
    step = next((step for step in _steps(session, job) if step.name == step_name), None)
    plan = workflows.find_step(job.kind, step_name)
    if step is None or plan is None or step.state is not StepState.FAILED:
        raise NotPossibleError("not_failed", "Only a failed step can be skipped.")
    if plan.skip is None:
        raise NotPossibleError("not_skippable", "Later steps need what this one makes. Retry the job instead.")
    transition(step, StepState.SKIPPED, code="skipped", reason=reason)
    step.remedy, step.finished_at = [], now
    lifecycle.make_next_ready(session, step, now)
    return _reopen(session, job, now)


def cancel(session: Session, job_id: str, now: datetime, *, code: str | None = None, reason: str | None = None) -> Job:
    """Stop before the next step; what the workflow began on upstreams and can stop is stopped by a last step.

    A step that runs now can record neither its outcome nor an intent any more: it stops at its next access to the
    database. `code` and `reason` say why, if there is more to say than that somebody did it. Raises NotPossibleError
    `is_over`; cancelling twice is fine.
    """
    job = lifecycle.lock(session, job_id)
    if job is None or job.state not in OPEN:
        raise NotPossibleError("is_over", "The job is over.")
    if job.state is JobState.CANCELLING:
        return job
    steps = _steps(session, job)
    has_begun = any(step.attempts for step in steps)
    for step in steps:
        if step.state in UNSETTLED or step.state is StepState.PENDING:
            _stop(session, step, now, code=code, reason=reason)
    transition_job(job, JobState.CANCELLING)
    sealed_passwords.wipe(session, [job.id])  # the job cannot be retried any more
    if job.kind == workflows.SIGNUP.name:
        waits = (SignupReview.id == job.id, SignupReview.state.in_(sorted(UNDECIDED)))
        session.execute(update(SignupReview).where(*waits).values(state=ReviewState.CANCELLED, decided_at=now))
    flow = workflows.WORKFLOWS.get(job.kind)
    if flow is not None and flow.on_cancel is not None and has_begun:
        _add_last_step(session, job, flow.on_cancel, position=len(steps), now=now)
    lifecycle.settle(session, job, now)
    return job


def poll(session: Session, job_id: str, now: datetime) -> Job:
    """Let what waits for its next poll or attempt begin now.

    An attempt that is brought forward counts: a step that is polled in a loop still gives up after its attempts.
    Raises NotPossibleError: `is_over`, or `nothing_to_poll` when no step waits for a time.
    """
    job = lifecycle.lock(session, job_id)
    if job is None or job.state not in OPEN:
        raise NotPossibleError("is_over", "The job is over.")
    waiting = [step for step in _steps(session, job) if _is_due_later(step, now)]
    if not waiting:
        raise NotPossibleError("nothing_to_poll", "No step of the job waits for its next poll or attempt.")
    for step in waiting:
        step.due_at = step.nudge_at = now
        step.nudges = 0  # the clock sends it
    lifecycle.touch(session, job, now)
    return job


def _is_due_later(step: Step, now: datetime) -> bool:
    is_waiting = step.state in (StepState.WAITING, StepState.RETRYING) and step.parked_at is None
    return is_waiting and step.due_at is not None and step.due_at > now


def _failed_job(session: Session, job_id: str) -> Job:
    job = lifecycle.lock(session, job_id)
    if job is None or job.state is not JobState.FAILED:
        raise NotPossibleError("not_failed", "Only a failed job can be retried.")
    return job


def _steps(session: Session, job: Job) -> list[Step]:
    return list(session.scalars(select(Step).where(Step.job_id == job.id).order_by(Step.position)))


def _begin_again(step: Step, now: datetime) -> None:
    step.forgiven = step.attempts
    step.remedy = step.finished_at = step.waiting_since = None
    lifecycle.make_ready(step, now)


def _reopen(session: Session, job: Job, now: datetime) -> Job:
    is_cancelled = any(step.lane == lifecycle.CANCEL_LANE for step in _steps(session, job))
    transition_job(job, JobState.CANCELLING if is_cancelled else JobState.RUNNING)
    job.finished_at = None
    if needs_secret(session, job):  # for the steps that run again, but no longer than without the failure
        sealed_passwords.prolong(session, job.id, until=job.created_at + sealed_passwords.LIVES)
    lifecycle.settle(session, job, now)
    return job


def _stop(session: Session, step: Step, now: datetime, *, code: str | None, reason: str | None) -> None:
    if step.attempts and step.state in UNSETTLED:
        attempt = session.scalar(select(Attempt).where(Attempt.step_id == step.id, Attempt.number == step.attempts))
        if attempt is not None and attempt.outcome is None:
            attempt.outcome, attempt.finished_at = Outcome.CANCELLED, now
    transition(step, StepState.CANCELLED, code=code, reason=reason)
    step.finished_at = now
    step.claim_token = step.lease_until = step.nudge_at = step.due_at = step.parked_at = None


def _add_last_step(session: Session, job: Job, plan: workflows.StepPlan, *, position: int, now: datetime) -> None:
    step = Step(
        job_id=job.id,
        lane=lifecycle.CANCEL_LANE,
        position=position,
        name=plan.name,
        upstream=plan.upstream.value,
        needs_secret=False,
        state=StepState.PENDING,
    )
    session.add(step)
    lifecycle.make_ready(step, now)

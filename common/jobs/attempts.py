"""Attempts of steps: the claim that begins one.

    step   pending ─▶ ready ─▶ running ─▶ succeeded
                                ▲ ▲ ├───▶ waiting ──(due)──▶ running      NotYet
                                │ │ ├───▶ retrying ─(due)──▶ running      Transient
                                │ │ └───▶ failed                          Conflict, Permanent, out of attempts or time
                                │ └ its lease ran out: the same state, a new claim, one attempt more
                                └ not while its upstream is closed or at its limit: it is parked in the state it has

`outcomes` records how an attempt ended. All that is done in either may be repeated: a claim or an outcome whose commit
is unknown is looked up, under the lock of its job, by the token.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from common import horizons, workflows
from common.admission import outages, slots
from common.admission.outages import Hold, HoldCode
from common.admission.slots import Lease, Limits
from common.database.engine import Database, Now
from common.database.models import Attempt, Job, Step
from common.jobs import hot_path
from common.jobs.claims import LEASE_S, Claim, ClaimedJob, ClaimedStep, ClaimRefused, renew_in
from common.jobs.events import transition, transition_job
from common.jobs.lifecycle import is_of_the_future, lock, settle, touch
from common.states import JobState, Outcome, StepState
from common.telemetry.metrics import ATTEMPTS_LOST, count_when_committed


def claim(db: Database, job_id: str, step_name: str, *, worker: str, limits: Limits) -> Claim | ClaimRefused | Hold:
    """Claim the next attempt of a step. The claim is lost after LEASE_S unless it is renewed.

    A Hold says why its upstream cannot take it now; the step is parked.
    """
    token = secrets.token_hex(16)
    made: list[Claim] = []

    def work(session: Session) -> Claim | ClaimRefused | Hold:
        if made and renew_in(session, made[-1], db.now):
            return made[-1]  # an earlier run was committed, though nobody could tell us
        claimed = hot_path.claim_ready(
            session, job_id, step_name, token, worker=worker, limits=limits, clock=db.now
        ) or _claim(session, job_id, step_name, token, worker=worker, limits=limits, clock=db.now)
        made.extend([claimed] if isinstance(claimed, Claim) else [])
        return claimed

    return db.repeatable(work)


def _claim(
    session: Session, job_id: str, step_name: str, token: str, *, worker: str, limits: Limits, clock: Now
) -> Claim | ClaimRefused | Hold:
    """Claim it in whatever state it is. `hot_path` has looked first: the job is open, and the step is not done."""
    job = lock(session, job_id)
    now = clock()  # after the lock: waiting for it must not use up the lease
    step = session.scalar(select(Step).where(Step.job_id == job_id, Step.name == step_name))
    if job is None or step is None or (plan := workflows.find_step(job.kind, step_name)) is None:
        return ClaimRefused.UNKNOWN
    if step.state is StepState.RUNNING and _is_too_far(step.lease_until, now, horizons.lease_s(plan)):
        # The clock was set back. Its worker may be alive: it has the time of a lease to renew the claim.
        step.lease_until = step.nudge_at = now + timedelta(seconds=LEASE_S)
    if not _is_claimable(job, step, now):
        return ClaimRefused.NOT_NOW
    if step.state is StepState.RUNNING:
        count_when_committed(session, ATTEMPTS_LOST.labels(workflows.task_name(job.kind, step_name)))
    if step.state is StepState.RUNNING and step.attempts - step.forgiven >= plan.retry.attempts:
        reason = "No attempt ended with a report: its worker died, or could not reach the database in time."
        fail(step, _close_lost(session, step, now), now, "worker_lost", reason, [])
        settle(session, job, now)
        return ClaimRefused.OVER
    lease = Lease(token=token, until=now + timedelta(seconds=LEASE_S), now=now)
    admission = slots.acquire(session, step, plan.visits, lease, limits)
    if isinstance(admission, Hold) and _is_held_too_long(step, admission, now):
        attempt = _begin_attempt(session, step, worker, now)
        _mark_running(step, lease)
        _mark_begun(job, now)  # it may be the first that any step of the job does, and only what has begun can fail
        reason = f"{admission.cause}. Gave up after {outages.LONGEST_HOLD}."
        fail(step, attempt, now, admission.code, reason, ["Retry the job once the upstream can be used again."])
        settle(session, job, now)
        return ClaimRefused.OVER
    if isinstance(admission, Hold):
        _park(session, job, step, admission, now)
        return admission
    attempt = _begin_attempt(session, step, worker, now)
    _mark_running(step, lease)
    _mark_begun(job, now)
    touch(session, job, now)
    tries = attempt.number - step.forgiven
    return Claim(
        job=ClaimedJob(
            id=job.id,
            kind=job.kind,
            subject_id=job.subject_id,
            app_id=job.app_id,
            input=job.input,
            request_id=job.request_id,
            traceparent=job.traceparent,
        ),
        step=ClaimedStep(id=step.id, name=step.name, waiting_since=step.waiting_since),
        plan=plan,
        token=lease.token,
        attempt=attempt.number,
        tries=tries,
        admission=admission,
        at=now,
    )


def _park(session: Session, job: Job, step: Step, hold: Hold, now: datetime) -> None:
    """Park a step in the state it has; `slots` decides when it is sent again.

    A step that is merely queued keeps the reason for which it waits or is retried: that says more.
    """
    state, shown = step.state, (step.code, step.reason)
    if state is StepState.RUNNING:
        _close_lost(session, step, now)
        state, step.due_at = StepState.RETRYING, now
        step.claim_token = step.lease_until = None
    is_old_hold = step.code in set(HoldCode)
    if hold.code is not HoldCode.BUSY or is_old_hold or step.state in (StepState.READY, StepState.RUNNING):
        shown = (hold.code.value, hold.reason)
    step.parked_at = step.parked_at or now
    step.nudge_at = None
    step.nudges = 0
    if (step.state, step.code, step.reason) != (state, *shown):
        transition(step, state, code=shown[0], reason=shown[1])
        touch(session, job, now)


def _is_held_too_long(step: Step, hold: Hold, now: datetime) -> bool:
    """Say whether it has waited too long for this hold to end; a pause before it does not count."""
    longest = timedelta(seconds=outages.LONGEST_HOLD_S)
    return step.parked_at is not None and hold.since is not None and now - max(step.parked_at, hold.since) >= longest


def _is_claimable(job: Job, step: Step, now: datetime) -> bool:
    if step.state is StepState.RUNNING:
        return step.lease_until is not None and step.lease_until <= now
    if step.state is StepState.READY or step.parked_at is not None:
        return True  # its turn has come, whatever the clock of the process that set the time says
    if step.due_at is None:  # only what waits or is retried has a time
        return False
    return step.due_at <= now or is_of_the_future(job, now) or _is_too_far(step.due_at, now, horizons.DELAY_S)


def _is_too_far(at: datetime | None, now: datetime, at_most_s: float) -> bool:
    """Say whether a time is further ahead than it can have been set."""
    return at is not None and at > now + timedelta(seconds=at_most_s)


def _begin_attempt(session: Session, step: Step, worker: str, now: datetime) -> Attempt:
    if step.state is StepState.WAITING:
        attempt = open_attempt(session, step)
        attempt.polls += 1
        attempt.worker = worker
        return attempt
    if step.state is StepState.RUNNING:
        _close_lost(session, step, now)
    step.attempts += 1
    attempt = Attempt(step_id=step.id, number=step.attempts, polls=0, worker=worker, started_at=now)
    session.add(attempt)
    return attempt


def _mark_running(step: Step, lease: Lease) -> None:
    transition(step, StepState.RUNNING)
    step.claim_token = lease.token
    step.lease_until = step.nudge_at = lease.until
    step.nudges = 0
    step.due_at = None
    step.started_at = step.started_at or lease.now
    if step.parked_at is not None and step.waiting_since is not None:
        step.waiting_since += max(lease.now - step.parked_at, timedelta())  # it could not poll all that time
    step.parked_at = None


def _mark_begun(job: Job, now: datetime) -> None:
    job.started_at = job.started_at or now
    if job.state is JobState.QUEUED:
        transition_job(job, JobState.RUNNING)


def open_attempt(session: Session, step: Step) -> Attempt:
    """Return the attempt that runs or waits."""
    return session.scalars(select(Attempt).where(Attempt.step_id == step.id, Attempt.number == step.attempts)).one()


def _close_lost(session: Session, step: Step, now: datetime) -> Attempt:
    attempt = open_attempt(session, step)
    attempt.outcome, attempt.code, attempt.finished_at = Outcome.LOST, "worker_lost", now
    attempt.reason = "The worker process died, or did not report before its lease ran out."
    return attempt


def fail(step: Step, attempt: Attempt, now: datetime, code: str, reason: str, remedy: Sequence[str]) -> None:
    """Fail the step, and end its claim and its attempt; the caller settles the job."""
    transition(step, StepState.FAILED, code=code, reason=reason)
    step.finished_at, step.remedy = now, list(remedy)
    step.claim_token = step.lease_until = step.nudge_at = None
    attempt.outcome = attempt.outcome or Outcome.FAILED
    attempt.code, attempt.reason, attempt.finished_at = code, reason, now

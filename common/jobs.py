"""How does a job come to be, and how does each state of it change?  Nothing else writes those states.

    step   pending ─▶ ready ─▶ running ─▶ succeeded
                                ▲ ▲ ├───▶ waiting ──(due)──▶ running      NotYet
                                │ │ ├───▶ retrying ─(due)──▶ running      Transient
                                │ │ └───▶ failed                          Conflict, Permanent, out of attempts or time
                                │ └ its lease ran out: the same state, a new claim, one attempt more
    job    queued ─▶ running ─▶ succeeded | failed, when every lane has settled
                       └▶ cancelling ─▶ cancelled       what people do to a job: `common/interventions.py`

Every change locks the job's row first, so changes of one job happen one after the other, and bumps its version; what
a person would notice of it is written down as an event with that number (`common/events.py`).
A claim is a token and a lease in the step's row; recording an outcome needs the same token.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from common import events, workflows
from common.db import Database, Now
from common.events import move
from common.ids import new_id
from common.models import Attempt, Job, JobState, Outcome, Secret, Step, StepState
from common.workflows import Workflow

LEASE_GRACE_S = 5.0  # a lease outlives the limit of its attempt by this much
RESEND_S = 5.0  # a step whose turn it is and that nobody began is sent again after this, then ever more rarely

CANCEL_LANE = "cancel"  # holds the step that stops what a cancelled job began outside

OPEN = frozenset({JobState.QUEUED, JobState.RUNNING, JobState.CANCELLING})
CLAIMABLE = frozenset({StepState.READY, StepState.WAITING, StepState.RETRYING})
PASSED = frozenset({StepState.SUCCEEDED, StepState.SKIPPED})
UNSETTLED = CLAIMABLE | {StepState.RUNNING}


class Refused(StrEnum):
    """Why a claim was not granted."""

    DONE = "the step has been done"
    NOT_NOW = "it is not the step's turn, or another worker has it"
    OVER = "the job is over"
    UNKNOWN = "this version knows no such step"


class ClaimLostError(Exception):
    """The lease ran out and the step belongs to somebody else, or the job is over: whatever we know is stale."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """The right to run one attempt. `job` and `step` are copies as of the claim."""

    job: Job
    step: Step
    plan: workflows.Step
    token: str
    attempt: int  # counted over the whole life of the step
    tries: int  # counted since somebody last asked for a retry: what the policy counts


@dataclass(frozen=True, kw_only=True)
class Lane:
    """What is left of a lane, to be sent as one chain."""

    job_id: str
    kind: str
    steps: tuple[str, ...]


def accept(
    session: Session,
    workflow: Workflow,
    *,
    now: datetime,
    subject_id: str,
    team_id: str,
    user_id: str,
    request_id: str,
    inputs: dict[str, Any],
    app_id: str | None = None,
) -> Job:
    """Write a job and its whole plan into the caller's transaction. Send its `lanes` after the commit."""
    job = Job(
        id=new_id(),
        kind=workflow.name,
        state=JobState.QUEUED,
        subject_id=subject_id,
        team_id=team_id,
        user_id=user_id,
        app_id=app_id,
        input=inputs,
        request_id=request_id,
        version=1,
        created_at=now,
        updated_at=now,
    )
    session.add(job)
    session.flush()  # steps refer to it
    position = 0
    for lane in workflow.lanes:
        for index, plan in enumerate(lane.steps):
            step = Step(
                job_id=job.id,
                lane=lane.name,
                position=position,
                name=plan.name,
                upstream=plan.upstream.value,
                needs_secret=plan.secret,
                state=StepState.PENDING,
            )
            session.add(step)
            if index == 0:
                make_ready(step, now)
            position += 1
    events.write(session, job, now)
    return job


def lanes(job: Job) -> list[Lane]:
    """Return the lanes of a job that was just accepted."""
    return [
        Lane(job_id=job.id, kind=job.kind, steps=tuple(step.name for step in lane.steps))
        for lane in workflows.WORKFLOWS[job.kind].lanes
    ]


def claim(db: Database, job_id: str, step_name: str, *, worker: str) -> Claim | Refused:
    """Take the right to run the next attempt of a step, for as long as its limit and a grace last."""
    return db.transaction(lambda session: _claim(session, job_id, step_name, worker=worker, clock=db.now))


def _claim(session: Session, job_id: str, step_name: str, *, worker: str, clock: Now) -> Claim | Refused:
    job = lock(session, job_id)
    now = clock()  # after the lock: a wait for it must not eat the lease
    step = session.scalar(select(Step).where(Step.job_id == job_id, Step.name == step_name))
    if job is None or step is None:
        return Refused.UNKNOWN
    if step.state in PASSED:
        return Refused.DONE
    if job.state not in OPEN:
        return Refused.OVER
    plan = workflows.find_step(job.kind, step_name)
    if plan is None:
        return Refused.UNKNOWN
    if not _is_claimable(step, now):
        return Refused.NOT_NOW
    if step.state is StepState.RUNNING and step.attempts - step.forgiven >= plan.retry.attempts:
        _fail(step, _close_lost(session, step, now), now, "worker_lost", "Its worker died at every attempt.", [])
        settle(session, job, now)
        return Refused.OVER
    attempt = _begin_attempt(session, step, worker, now)
    _mark_running(step, plan, now)
    job.started_at = job.started_at or now
    if job.state is JobState.QUEUED:
        job.state = JobState.RUNNING
    _touch(session, job, now)
    assert step.claim_token  # noqa: S101 - set a line above
    tries = attempt.number - step.forgiven
    return Claim(job=job, step=step, plan=plan, token=step.claim_token, attempt=attempt.number, tries=tries)


def _is_claimable(step: Step, now: datetime) -> bool:
    if step.state is StepState.RUNNING:
        return step.lease_until is not None and step.lease_until <= now
    if step.state is StepState.READY:
        return True  # its turn has come, whatever the clock of the process that said so
    return step.state in CLAIMABLE and step.due_at is not None and step.due_at <= now


def _begin_attempt(session: Session, step: Step, worker: str, now: datetime) -> Attempt:
    if step.state is StepState.WAITING:
        attempt = _open_attempt(session, step)
        attempt.polls += 1
        attempt.worker = worker
        return attempt
    if step.state is StepState.RUNNING:
        _close_lost(session, step, now)
    step.attempts += 1
    attempt = Attempt(step_id=step.id, number=step.attempts, polls=0, worker=worker, started_at=now)
    session.add(attempt)
    return attempt


def _mark_running(step: Step, plan: workflows.Step, now: datetime) -> None:
    move(step, StepState.RUNNING)
    step.claim_token = secrets.token_hex(16)
    step.lease_until = step.nudge_at = now + timedelta(seconds=plan.limit_s + LEASE_GRACE_S)
    step.nudges = 0
    step.due_at = None
    step.started_at = step.started_at or now


def _open_attempt(session: Session, step: Step) -> Attempt:
    return session.scalars(select(Attempt).where(Attempt.step_id == step.id, Attempt.number == step.attempts)).one()


def _close_lost(session: Session, step: Step, now: datetime) -> Attempt:
    attempt = _open_attempt(session, step)
    attempt.outcome, attempt.code, attempt.finished_at = Outcome.LOST, "worker_lost", now
    attempt.reason = "The worker died, or did not report back before its lease ran out."
    return attempt


# -- outcomes: each needs the claim's token -----------------------------------------------------------------------


def succeed(db: Database, claim: Claim, output: dict[str, Any]) -> None:
    """Record the output; the next step of the lane is ready. Raises ClaimLostError."""

    def change(session: Session, step: Step, attempt: Attempt, now: datetime) -> None:
        step.output, step.finished_at = output, now
        step.waiting_since = None
        move(step, StepState.SUCCEEDED)
        attempt.outcome, attempt.finished_at = Outcome.SUCCEEDED, now
        make_next_ready(session, step, now)
        if step.needs_secret:
            _wipe_secret_after_last_use(session, step)

    _record(db, claim, change)


def wait(db: Database, claim: Claim, *, code: str, reason: str, retry_after_s: float) -> StepState:
    """Look again later; out of time means failed. Returns the new state. Raises ClaimLostError."""
    limit = claim.plan.wait

    def change(_session: Session, step: Step, attempt: Attempt, now: datetime) -> None:
        step.forgiven = step.attempts - 1  # a good look: stumbles of hours ago do not add up over a long wait
        step.waiting_since = step.waiting_since or now
        until = step.waiting_since + timedelta(seconds=limit.at_most_s if limit else 0)
        if now >= until:
            waited = f"Waited {limit.at_most_s:.0f} s at most." if limit else "The step may not wait."
            _fail(step, attempt, now, "wait_timed_out", f"{reason} {waited}", [])
            return
        _park(step, StepState.WAITING, min(now + timedelta(seconds=retry_after_s), until), code, reason)

    return _record(db, claim, change)


def stumble(db: Database, claim: Claim, *, code: str, reason: str, delay_s: float) -> StepState:
    """Try again in `delay_s`; out of attempts means failed. Returns the new state. Raises ClaimLostError."""

    def change(_session: Session, step: Step, attempt: Attempt, now: datetime) -> None:
        attempts = claim.plan.retry.attempts
        if step.attempts - step.forgiven >= attempts:
            _fail(step, attempt, now, code, f"{reason} Gave up after {attempts} attempts.", [])
        else:
            _park(step, StepState.RETRYING, now + timedelta(seconds=delay_s), code, reason)
        attempt.outcome, attempt.code, attempt.reason, attempt.finished_at = Outcome.STUMBLED, code, reason, now

    return _record(db, claim, change)


def fail(db: Database, claim: Claim, *, code: str, reason: str, remedy: Sequence[str] = ()) -> StepState:
    """Stop the lane here. Returns the new state. Raises ClaimLostError."""
    return _record(db, claim, lambda _session, step, attempt, now: _fail(step, attempt, now, code, reason, remedy))


def still_holds(session: Session, claim: Claim, now: datetime) -> None:
    """Check inside the caller's transaction that the claim is good. Raises ClaimLostError."""
    _held(session, claim)
    if claim.step.lease_until is not None and claim.step.lease_until <= now:
        raise ClaimLostError


Change = Callable[[Session, Step, Attempt, datetime], None]


def _record(db: Database, claim: Claim, change: Change) -> StepState:
    def work(session: Session) -> StepState:
        job, step = _held(session, claim)
        now = db.now()
        step.claim_token = step.lease_until = step.nudge_at = None
        step.nudges = 0
        change(session, step, _open_attempt(session, step), now)
        settle(session, job, now)
        return step.state

    return db.transaction(work)


def _held(session: Session, claim: Claim) -> tuple[Job, Step]:
    job = lock(session, claim.job.id)
    step = session.get_one(Step, claim.step.id)
    if job is None or job.state not in OPEN or step.claim_token != claim.token:
        raise ClaimLostError
    return job, step


def _fail(step: Step, attempt: Attempt, now: datetime, code: str, reason: str, remedy: Sequence[str]) -> None:
    move(step, StepState.FAILED, code=code, reason=reason)
    step.finished_at, step.remedy = now, list(remedy)
    step.claim_token = step.lease_until = step.nudge_at = step.due_at = None
    attempt.outcome = attempt.outcome or Outcome.FAILED
    attempt.code, attempt.reason, attempt.finished_at = code, reason, now


def _park(step: Step, state: StepState, until: datetime, code: str, reason: str) -> None:
    move(step, state, code=code, reason=reason)
    step.due_at = step.nudge_at = until


def make_ready(step: Step, now: datetime) -> None:
    """Give a step its turn."""
    move(step, StepState.READY)
    step.due_at = now
    step.nudge_at = now + timedelta(seconds=RESEND_S)  # a message is on its way: only if that one is lost


def make_next_ready(session: Session, step: Step, now: datetime) -> None:
    """Give the step behind this one its turn, if there is one in the lane."""
    following = session.scalar(
        select(Step).where(Step.job_id == step.job_id, Step.lane == step.lane, Step.position == step.position + 1)
    )
    if following is not None and following.state is StepState.PENDING:
        make_ready(following, now)


def _wipe_secret_after_last_use(session: Session, step: Step) -> None:
    unfinished = session.scalar(
        select(Step.id).where(
            Step.job_id == step.job_id, Step.needs_secret, Step.id != step.id, Step.state.not_in(PASSED)
        )
    )
    if unfinished is None:
        session.execute(delete(Secret).where(Secret.job_id == step.job_id))


def settle(session: Session, job: Job, now: datetime) -> None:
    """Derive the job's state from its steps, over when no step can move any more, and bump its version."""
    session.flush()
    steps = session.execute(select(Step.state, Step.lane).where(Step.job_id == job.id)).all()
    if not any(step.state in UNSETTLED for step in steps):
        is_cancelled = job.state is JobState.CANCELLING
        # What failed before a cancellation does not matter any more; what could not be stopped does.
        has_failed = any(
            step.state is StepState.FAILED for step in steps if not is_cancelled or step.lane == CANCEL_LANE
        )
        job.finished_at = now
        if has_failed:
            job.state = JobState.FAILED
        else:
            job.state = JobState.CANCELLED if is_cancelled else JobState.SUCCEEDED
    _touch(session, job, now)


def lock(session: Session, job_id: str) -> Job | None:
    """Return a job, as it is now, whose changes wait until this transaction ends."""
    statement = select(Job).where(Job.id == job_id).with_for_update()
    # What the session read of it before may be from before a wait for the lock, and would be given back otherwise.
    return session.scalar(statement.execution_options(populate_existing=True))


def _touch(session: Session, job: Job, now: datetime) -> None:
    job.version += 1
    job.updated_at = now
    events.write(session, job, now)

"""How does a job come to be, and how does each state of it change?  Nothing else writes those states.

    step   pending ─▶ ready ─▶ running ─▶ succeeded
                                ▲ ▲ ├───▶ waiting ──(due)──▶ running      NotYet
                                │ │ ├───▶ retrying ─(due)──▶ running      Transient
                                │ │ └───▶ failed                          Conflict, Permanent, out of attempts or time
                                │ └ its lease ran out: the same state, a new claim, one attempt more
    job    queued ─▶ running ─▶ succeeded | failed, when every lane has settled

Every change locks the job's row first, so changes of one job happen one after the other, and bumps its version.
A claim is a token and a lease in the step's row; recording an outcome needs the same token.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from itertools import groupby
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from common import workflows
from common.db import Database
from common.models import Attempt, Job, JobState, LoginSession, Outcome, Secret, Step, StepState, new_id
from common.workflows import Workflow

LEASE_GRACE_S = 5.0  # a lease outlives the limit of its attempt by this much
RESEND_S = 5.0  # a step whose turn it is and that nobody began is sent again after this, then ever more rarely
RESEND_DOUBLINGS = 6
LAST_CALL_S = 1.0  # what a dead worker had sent may still arrive: look for its effect after this, not before

OPEN = frozenset({JobState.QUEUED, JobState.RUNNING})
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
    attempt: int


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
            if index == 0:
                _make_ready(step, now)
            session.add(step)
            position += 1
    return job


def lanes(job: Job) -> list[Lane]:
    """Return the lanes of a job that was just accepted."""
    return [
        Lane(job_id=job.id, kind=job.kind, steps=tuple(step.name for step in lane.steps))
        for lane in workflows.WORKFLOWS[job.kind].lanes
    ]


def claim(db: Database, job_id: str, step_name: str, *, worker: str) -> Claim | Refused:
    """Take the right to run the next attempt of a step, for as long as its limit and a grace last."""
    return db.transaction(lambda session: _claim(session, job_id, step_name, worker=worker, now=db.now()))


def _claim(session: Session, job_id: str, step_name: str, *, worker: str, now: datetime) -> Claim | Refused:
    job = _locked(session, job_id)
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
    if step.state is StepState.RUNNING and step.attempts >= plan.retry.attempts:
        _fail(step, _close_lost(session, step, now), now, "worker_lost", "Its worker died at every attempt.", [])
        _settle(session, job, now)
        return Refused.OVER
    attempt = _begin_attempt(session, step, worker, now)
    _mark_running(step, plan, now)
    _touch(job, now)
    job.state, job.started_at = JobState.RUNNING, job.started_at or now
    assert step.claim_token  # noqa: S101 - set a line above
    return Claim(job=job, step=step, plan=plan, token=step.claim_token, attempt=attempt.number)


def _is_claimable(step: Step, now: datetime) -> bool:
    if step.state is StepState.RUNNING:
        return step.lease_until is not None and step.lease_until <= now
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
    step.state = StepState.RUNNING
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
        step.state, step.output, step.finished_at = StepState.SUCCEEDED, output, now
        step.code = step.reason = step.waiting_since = None
        attempt.outcome, attempt.finished_at = Outcome.SUCCEEDED, now
        _make_next_ready(session, step, now)
        if step.needs_secret:
            _wipe_secret_after_last_use(session, step)

    _record(db, claim, change)


def wait(db: Database, claim: Claim, *, code: str, reason: str, retry_after_s: float) -> StepState:
    """Look again later; out of time means failed. Returns the new state. Raises ClaimLostError."""
    limit = claim.plan.wait

    def change(_session: Session, step: Step, attempt: Attempt, now: datetime) -> None:
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
        if step.attempts >= attempts:
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
        now = db.now()
        job, step = _held(session, claim)
        step.claim_token = step.lease_until = step.nudge_at = None
        step.nudges = 0
        change(session, step, _open_attempt(session, step), now)
        _settle(session, job, now)
        return step.state

    return db.transaction(work)


def _held(session: Session, claim: Claim) -> tuple[Job, Step]:
    job = _locked(session, claim.job.id)
    step = session.get_one(Step, claim.step.id)
    if job is None or job.state not in OPEN or step.claim_token != claim.token:
        raise ClaimLostError
    return job, step


def _fail(step: Step, attempt: Attempt, now: datetime, code: str, reason: str, remedy: Sequence[str]) -> None:
    step.state, step.finished_at = StepState.FAILED, now
    step.code, step.reason, step.remedy = code, reason, list(remedy)
    step.claim_token = step.lease_until = step.nudge_at = step.due_at = None
    attempt.outcome = attempt.outcome or Outcome.FAILED
    attempt.code, attempt.reason, attempt.finished_at = code, reason, now


def _park(step: Step, state: StepState, until: datetime, code: str, reason: str) -> None:
    step.state, step.due_at, step.nudge_at = state, until, until
    step.code, step.reason = code, reason


def _make_ready(step: Step, now: datetime) -> None:
    step.state, step.due_at = StepState.READY, now
    step.nudge_at = now + timedelta(seconds=RESEND_S)  # a message is on its way: only if that one is lost


def _make_next_ready(session: Session, step: Step, now: datetime) -> None:
    following = session.scalar(
        select(Step).where(Step.job_id == step.job_id, Step.lane == step.lane, Step.position == step.position + 1)
    )
    if following is not None and following.state is StepState.PENDING:
        _make_ready(following, now)


def _wipe_secret_after_last_use(session: Session, step: Step) -> None:
    unfinished = session.scalar(
        select(Step.id).where(
            Step.job_id == step.job_id, Step.needs_secret, Step.id != step.id, Step.state.not_in(PASSED)
        )
    )
    if unfinished is None:
        session.execute(delete(Secret).where(Secret.job_id == step.job_id))


def _settle(session: Session, job: Job, now: datetime) -> None:
    """Derive the job's state from its steps: over when no step can move any more."""
    _touch(job, now)
    session.flush()
    states = set(session.scalars(select(Step.state).where(Step.job_id == job.id)))
    if states & UNSETTLED:
        return
    job.state = JobState.FAILED if StepState.FAILED in states else JobState.SUCCEEDED
    job.finished_at = now


def _locked(session: Session, job_id: str) -> Job | None:
    return session.scalar(select(Job).where(Job.id == job_id).with_for_update())


def _touch(job: Job, now: datetime) -> None:
    job.version += 1
    job.updated_at = now


# -- what the clock asks ------------------------------------------------------------------------------------------


def take_due(db: Database, *, limit: int) -> list[Lane]:
    """Return lanes whose head step is due and has no message that anyone acted on; each to one caller only.

    Safe to call from any number of clocks: a row goes to the one that moves its `nudge_at`.
    """
    due = db.read(
        lambda session: session.execute(
            select(Step.id, Step.nudge_at, Step.nudges)
            .where(Step.nudge_at <= db.now())
            .order_by(Step.nudge_at)
            .limit(limit)
        ).all()
    )
    if not due:
        return []

    def work(session: Session) -> list[Lane]:
        now = db.now()
        mine = [
            step_id
            for step_id, nudge_at, nudges in due
            if _rowcount(
                session.execute(
                    update(Step)
                    .where(Step.id == step_id, Step.nudge_at == nudge_at)
                    .values(nudge_at=now + timedelta(seconds=_resend_s(nudges)), nudges=nudges + 1)
                )
            )
        ]
        return _rest_of_lanes(session, mine)

    return db.transaction(work)


def release(db: Database, worker: str) -> int:
    """End the leases of a worker that is known to be dead, and return how many. Safe to repeat, and by many at once."""
    held = db.read(
        lambda session: session.execute(
            select(Step.id, Step.job_id, Step.claim_token)
            .join(Attempt, (Attempt.step_id == Step.id) & (Attempt.number == Step.attempts))
            .where(Step.nudge_at.is_not(None), Step.state == StepState.RUNNING, Attempt.worker == worker)
        ).all()
    )

    ended: list[int] = [db.transaction(partial(_end_lease, db, *row)) for row in held]
    return sum(ended)


def _end_lease(db: Database, step_id: str, job_id: str, token: str | None, session: Session) -> int:
    _locked(session, job_id)
    until = db.now() + timedelta(seconds=LAST_CALL_S)
    is_still_held = (Step.id == step_id, Step.claim_token == token, Step.lease_until > until)
    return _rowcount(session.execute(update(Step).where(*is_still_held).values(lease_until=until, nudge_at=until)))


def _resend_s(nudges: int) -> float:
    return float(RESEND_S * 2 ** min(nudges, RESEND_DOUBLINGS))


def _rowcount(result: Any) -> int:
    return int(result.rowcount)


def _rest_of_lanes(session: Session, step_ids: Sequence[str]) -> list[Lane]:
    if not step_ids:
        return []
    head = select(Step.job_id, Step.lane, Step.position).where(Step.id.in_(step_ids)).subquery()
    rows = session.execute(
        select(Job.id, Job.kind, Step.lane, Step.name)
        .join(Step, Step.job_id == Job.id)
        .join(head, (head.c.job_id == Step.job_id) & (head.c.lane == Step.lane) & (head.c.position <= Step.position))
        .where(Job.state.in_(OPEN))
        .order_by(Job.id, Step.position)
    ).all()
    return [
        Lane(job_id=job_id, kind=kind, steps=tuple(row.name for row in lane))
        for (job_id, kind, _), lane in groupby(rows, key=lambda row: (row.id, row.kind, row.lane))
    ]


def forget_expired(db: Database) -> None:
    """Delete secrets and sessions past their time, whatever became of their jobs and users."""

    def work(session: Session) -> None:
        session.execute(delete(Secret).where(Secret.expires_at <= db.now()))
        session.execute(delete(LoginSession).where(LoginSession.expires_at <= db.now()))

    db.transaction(work)

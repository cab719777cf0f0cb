"""Attempts of steps: the claim that begins one, and the outcome that ends it.

    step   pending ─▶ ready ─▶ running ─▶ succeeded
                                ▲ ▲ ├───▶ waiting ──(due)──▶ running      NotYet
                                │ │ ├───▶ retrying ─(due)──▶ running      Transient
                                │ │ └───▶ failed                          Conflict, Permanent, out of attempts or time
                                │ └ its lease ran out: the same state, a new claim, one attempt more
                                └ not while its upstream is closed or at its limit: it is parked in the state it has

A claim is a token and a lease in the step's row, and its slots. The worker renews the lease while it runs the attempt,
and recording an outcome needs the same token. All that is done here may be repeated: a claim or an outcome whose commit
is unknown is looked up, under the lock of its job, by the token.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeVar

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from common import horizons, workflows
from common.admission import outages, slots
from common.admission.outages import Hold, HoldCode
from common.admission.slots import Lease, Limits
from common.database.engine import Database, Now, matched
from common.database.models import Attempt, Job, Step
from common.jobs.events import transition, transition_job
from common.jobs.lifecycle import is_of_the_future, lock, make_next_ready, settle, touch
from common.states import CLAIMABLE, OPEN, PASSED, JobState, Outcome, StepState
from common.telemetry.metrics import ATTEMPTS_LOST, count_when_committed
from common.vault import sealed_passwords
from common.workflows import Upstream

T = TypeVar("T")

LEASE_S = 8.0  # a worker that renews no more loses its claims after this
INTERNAL = "internal"  # the code of what broke inside Slipway
UNEXPLAINED = "unexplained_refusal"  # the code of an attempt that was refused though our account works


class ClaimRefused(StrEnum):
    """Why a claim was not granted."""

    DONE = "the step has been done"
    NOT_NOW = "it is not the step's turn, or another worker has it"
    OVER = "the job is over"
    UNKNOWN = "this version knows no such step"


class ClaimLostError(Exception):
    """The lease ran out and the step is another worker's, or the job is over: what we know is stale."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """The right to run one attempt. `job` and `step` are copies as of the claim."""

    job: Job
    step: Step
    plan: workflows.StepPlan
    token: str
    attempt: int  # counted over the whole life of the step
    tries: int  # counted since the last retry by a person: what the policy counts
    admission: slots.Admission
    at: datetime


def claim(db: Database, job_id: str, step_name: str, *, worker: str, limits: Limits) -> Claim | ClaimRefused | Hold:
    """Claim the next attempt of a step. The claim is lost after LEASE_S unless it is renewed.

    A Hold says why its upstream cannot take it now; the step is parked.
    """
    token = secrets.token_hex(16)
    made: list[Claim] = []

    def work(session: Session) -> Claim | ClaimRefused | Hold:
        if made and _renew_in(session, made[-1], db.now):
            return made[-1]  # an earlier run was committed, though nobody could tell us
        claimed = _claim(session, job_id, step_name, token, worker=worker, limits=limits, clock=db.now)
        made.extend([claimed] if isinstance(claimed, Claim) else [])
        return claimed

    return db.repeatable(work)


def _renew_in(session: Session, claim: Claim, clock: Now) -> bool:
    """Renew a claim that may have been made; the lock waits until a commit that is under way has ended."""
    try:
        _job, step = _held(session, claim)
    except ClaimLostError:
        return False
    until = clock() + timedelta(seconds=LEASE_S)
    if not all(matched(session.execute(each)) for each in slots.extensions(claim.admission, claim.token, until)):
        return False
    step.lease_until = step.nudge_at = until
    return True


def _claim(
    session: Session, job_id: str, step_name: str, token: str, *, worker: str, limits: Limits, clock: Now
) -> Claim | ClaimRefused | Hold:
    job = lock(session, job_id)
    now = clock()  # after the lock: waiting for it must not use up the lease
    step = session.scalar(select(Step).where(Step.job_id == job_id, Step.name == step_name))
    if job is None or step is None:
        return ClaimRefused.UNKNOWN
    plan = workflows.find_step(job.kind, step_name)
    refused = _refused(job, step, plan, now)
    if refused or plan is None:
        return refused or ClaimRefused.UNKNOWN
    if step.state is StepState.RUNNING:
        count_when_committed(session, ATTEMPTS_LOST.labels(workflows.task_name(job.kind, step_name)))
    if step.state is StepState.RUNNING and step.attempts - step.forgiven >= plan.retry.attempts:
        reason = "No attempt ended with a report: its worker died, or could not reach the database in time."
        _fail(step, _close_lost(session, step, now), now, "worker_lost", reason, [])
        settle(session, job, now)
        return ClaimRefused.OVER
    lease = Lease(token=token, until=now + timedelta(seconds=LEASE_S), now=now)
    admission = slots.acquire(session, step, plan.visits, lease, limits)
    if isinstance(admission, Hold) and _is_held_too_long(step, admission, now):
        attempt = _begin_attempt(session, step, worker, now)
        _mark_running(step, lease)
        reason = f"{admission.cause}. Gave up after {outages.LONGEST_HOLD}."
        _fail(step, attempt, now, admission.code, reason, ["Retry the job once the upstream can be used again."])
        settle(session, job, now)
        return ClaimRefused.OVER
    if isinstance(admission, Hold):
        _park(session, job, step, admission, now)
        return admission
    attempt = _begin_attempt(session, step, worker, now)
    _mark_running(step, lease)
    job.started_at = job.started_at or now
    if job.state is JobState.QUEUED:
        transition_job(job, JobState.RUNNING)
    touch(session, job, now)
    tries = attempt.number - step.forgiven
    return Claim(
        job=job,
        step=step,
        plan=plan,
        token=lease.token,
        attempt=attempt.number,
        tries=tries,
        admission=admission,
        at=now,
    )


def _refused(job: Job, step: Step, plan: workflows.StepPlan | None, now: datetime) -> ClaimRefused | None:
    if step.state in PASSED:
        return ClaimRefused.DONE
    if job.state not in OPEN:
        return ClaimRefused.OVER
    if plan is None:
        return ClaimRefused.UNKNOWN
    return None if _is_claimable(job, step, plan, now) else ClaimRefused.NOT_NOW


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
    longest = timedelta(seconds=outages.LONGEST_HOLD_S)
    return bool(hold.cause) and step.parked_at is not None and now - step.parked_at >= longest


def _is_claimable(job: Job, step: Step, plan: workflows.StepPlan, now: datetime) -> bool:
    if step.state is StepState.RUNNING:
        return step.lease_until is not None and _is_reached(step.lease_until, now, horizons.lease_s(plan))
    if step.state is StepState.READY:
        return True  # its turn has come, whatever the clock of the process that set the time says
    if step.state not in CLAIMABLE or step.due_at is None:
        return False
    return is_of_the_future(job, now) or _is_reached(step.due_at, now, horizons.DELAY_S)


def _is_reached(at: datetime, now: datetime, at_most_s: float) -> bool:
    """Say whether a time is past, or further ahead than it can have been set."""
    return at <= now or at > now + timedelta(seconds=at_most_s)


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


def _open_attempt(session: Session, step: Step) -> Attempt:
    return session.scalars(select(Attempt).where(Attempt.step_id == step.id, Attempt.number == step.attempts)).one()


def _close_lost(session: Session, step: Step, now: datetime) -> Attempt:
    attempt = _open_attempt(session, step)
    attempt.outcome, attempt.code, attempt.finished_at = Outcome.LOST, "worker_lost", now
    attempt.reason = "The worker process died, or did not report before its lease ran out."
    return attempt


def renew(db: Database, claim: Claim) -> bool:
    """Prolong a claim to LEASE_S from now, though its lease may be over; False when it is not held any more.

    Slots first: a claim whose slot has become another step's is not renewed. Each row is changed by a statement that
    commits itself, so that a worker that is stopped meanwhile leaves none locked.
    """
    until = db.now() + timedelta(seconds=LEASE_S)
    is_held = (Step.id == claim.step.id, Step.claim_token == claim.token)
    renewed = update(Step).where(*is_held).values(lease_until=until, nudge_at=until)
    return all(db.run(each) for each in (*slots.extensions(claim.admission, claim.token, until), renewed))


# -- outcomes: each needs the claim's token -----------------------------------------------------------------------


def record_success(db: Database, claim: Claim, output: Mapping[str, object]) -> None:
    """Record the output; the next step of the lane becomes ready. Raises ClaimLostError."""

    def change(session: Session, step: Step, attempt: Attempt, now: datetime) -> None:
        step.output, step.finished_at = dict(output), now
        step.waiting_since = None
        transition(step, StepState.SUCCEEDED)
        attempt.outcome, attempt.finished_at = Outcome.SUCCEEDED, now
        make_next_ready(session, step, now)
        if step.needs_secret:
            _wipe_password_after_last_use(session, step)

    _record(db, claim, change)


def record_wait(db: Database, claim: Claim, *, code: str, reason: str, retry_after_s: float) -> StepState:
    """Schedule another poll; out of time means failed. Returns the new state. Raises ClaimLostError."""
    limit = claim.plan.wait

    def change(_session: Session, step: Step, attempt: Attempt, now: datetime) -> None:
        step.forgiven = step.attempts - 1  # a poll that worked: earlier failures do not add up over a long wait
        step.waiting_since = step.waiting_since or now
        until = step.waiting_since + timedelta(seconds=limit.at_most_s if limit else 0)
        if now >= until:
            waited = f"Gave up waiting after {limit.at_most_s:.0f} s." if limit else "The step may not wait."
            _fail(step, attempt, now, "wait_timed_out", _sentences(reason, waited), [])
            return
        _schedule(step, StepState.WAITING, min(now + timedelta(seconds=retry_after_s), until), code, reason)

    return _record(db, claim, change)


def record_retry(
    db: Database,
    claim: Claim,
    *,
    code: str,
    reason: str,
    delay_s: float,
    unavailable: Upstream | None = None,
    enough: int = 0,
    is_answer: bool = False,
    is_told_to_wait: bool = False,
) -> StepState:
    """Schedule another attempt in `delay_s`; out of attempts means failed. Returns the new state.

    `unavailable` is the upstream that did not answer. After `enough` such steps in a row it is probed; an attempt that
    fails while it is down does not count. `is_answer`: the upstream did answer, with an error. `is_told_to_wait`: the
    delay is the upstream's own, as after too many calls. Raises ClaimLostError.
    """

    def change(session: Session, step: Step, attempt: Attempt, now: datetime) -> None:
        attempts = claim.plan.retry.attempts
        if unavailable and outages.is_down(session, unavailable):
            step.forgiven += 1
        if (unavailable or is_told_to_wait) and step.waiting_since is not None:
            step.waiting_since += now - claim.at + timedelta(seconds=delay_s)  # time that it cannot use is no wait
        if step.attempts - step.forgiven >= attempts:
            _fail(step, attempt, now, code, _sentences(reason, f"Gave up after {attempts} attempts."), [])
        else:
            _schedule(step, StepState.RETRYING, now + timedelta(seconds=delay_s), code, reason)
        attempt.outcome, attempt.code, attempt.reason, attempt.finished_at = Outcome.TRANSIENT, code, reason, now

    if unavailable:
        outages.record_unavailable(db, unavailable, reason, db.now(), enough=enough)
    return _record(db, claim, change, is_answer=is_answer)


def record_hold(db: Database, claim: Claim, hold: Hold) -> StepState:
    """Park the step, whose upstream is held from now on; the attempt does not count. Raises ClaimLostError."""

    def change(_session: Session, step: Step, attempt: Attempt, now: datetime) -> None:
        step.forgiven += 1
        if step.waiting_since is not None:
            step.waiting_since += now - claim.at  # time that it cannot use is no wait
        transition(step, StepState.RETRYING, code=hold.code, reason=hold.reason)
        step.due_at = step.parked_at = now
        attempt.outcome, attempt.code, attempt.reason = Outcome.TRANSIENT, hold.code.value, hold.reason
        attempt.finished_at = now

    return _record(db, claim, change)


@dataclass(frozen=True, kw_only=True)
class RefusedBefore:
    """The refusals of a step, one after another, before the present attempt. `since`: the first of them.

    `held_at`: when the last one held the upstream. `unexplained`: how many of the last ones nothing explained.
    """

    since: datetime | None = None
    held_at: datetime | None = None
    unexplained: int = 0


def refused_before(db: Database, claim: Claim) -> RefusedBefore:
    """Return the refusals just before the claimed attempt; a poll that worked or a retry by a person ends the row."""
    earlier = (Attempt.step_id == claim.step.id, Attempt.number <= claim.attempt)
    columns = select(Attempt.number, Attempt.code, Attempt.polls, Attempt.finished_at, Attempt.outcome).where(*earlier)
    rows = db.read(lambda session: session.execute(columns.order_by(Attempt.number.desc())).all())
    found = RefusedBefore()
    for number, code, polls, finished_at, outcome in rows:
        is_present = number == claim.attempt
        if outcome is Outcome.FAILED:  # a person has retried the step since
            break
        if not is_present and code == HoldCode.REFUSED:
            found = replace(found, since=finished_at, held_at=found.held_at or finished_at)
        elif not is_present and code == UNEXPLAINED:
            is_last = found.held_at is None
            found = replace(found, since=finished_at, unexplained=found.unexplained + is_last)
        elif not is_present:
            break
        if polls:
            break
    return found


def release(db: Database, claim: Claim) -> None:
    """Release the slots of a lost claim, now that nothing is done under it any more."""
    db.repeatable(lambda session: slots.release(session, claim.admission, claim.token, db.now()))


def record_failure(db: Database, claim: Claim, *, code: str, reason: str, remedy: Sequence[str] = ()) -> StepState:
    """Stop the lane here. Returns the new state. Raises ClaimLostError."""
    return _record(
        db,
        claim,
        lambda _session, step, attempt, now: _fail(step, attempt, now, code, reason, remedy),
        is_answer=code != INTERNAL,
    )


def require_held(session: Session, claim: Claim, now: datetime) -> None:
    """Check inside the caller's transaction that the claim is held. Raises ClaimLostError."""
    _job, step = _held(session, claim)
    if step.lease_until is None or step.lease_until <= now:
        raise ClaimLostError


def held_until(session: Session, claim: Claim) -> datetime | None:
    """Return when the claim's lease ends, None when the claim is lost: what is asked before a call that writes.

    One statement that locks nothing.
    """
    held = (
        select(Step.lease_until)
        .join(Job, Job.id == Step.job_id)
        .where(Step.id == claim.step.id, Step.claim_token == claim.token, Job.state.in_(list(OPEN)))
    )
    return session.scalar(held)


def while_ours(db: Database, claim: Claim, work: Callable[[Session], T]) -> T:
    """Run `work` in one transaction if nobody else has claimed the step since, and the job is not over.

    For what is recorded *after* a call: while the token is ours nobody else has come, though the lease may be over.
    `work` does the same when it is committed twice. Raises ClaimLostError; nothing is changed then.
    """

    def checked(session: Session) -> T:
        _held(session, claim)
        return work(session)

    return db.repeatable(checked, outlasts_locks=True)


Change = Callable[[Session, Step, Attempt, datetime], None]
RECORDED = {
    None: StepState.WAITING,
    Outcome.SUCCEEDED: StepState.SUCCEEDED,
    Outcome.TRANSIENT: StepState.RETRYING,
    Outcome.FAILED: StepState.FAILED,
}


def _record(db: Database, claim: Claim, change: Change, *, is_answer: bool = True) -> StepState:
    def work(session: Session) -> StepState:
        try:
            job, step = _held(session, claim)
        except ClaimLostError:
            return _recorded(session, claim)
        now = db.now()
        step.claim_token = step.lease_until = step.nudge_at = None
        step.nudges = 0
        slots.release(session, claim.admission, claim.token, now)
        change(session, step, _open_attempt(session, step), now)
        settle(session, job, now)
        return step.state

    if claim.admission.is_doubted and is_answer:  # so it is, whatever becomes of the step
        outages.record_answer(db, claim.plan.visits)
    return db.repeatable(work, outlasts_locks=True)  # what was done is known to this worker only: its lease is renewed


def _recorded(session: Session, claim: Claim) -> StepState:
    """Return the state that the outcome of this claim has led to, if it was recorded. Raises ClaimLostError if not.

    A claim that was taken over leaves its attempt lost, and a cancellation leaves it cancelled. With any other outcome,
    our own commit happened, and only its answer was lost.
    """
    step = session.get_one(Step, claim.step.id)
    of_claim = select(Attempt.outcome).where(Attempt.step_id == claim.step.id, Attempt.number == claim.attempt)
    recorded = RECORDED.get(session.scalars(of_claim).one())
    if recorded is None or step.claim_token == claim.token:
        raise ClaimLostError
    return StepState.FAILED if step.state is StepState.FAILED else recorded


def _held(session: Session, claim: Claim) -> tuple[Job, Step]:
    job = lock(session, claim.job.id)
    step = session.get_one(Step, claim.step.id)
    if job is None or job.state not in OPEN or step.claim_token != claim.token:
        raise ClaimLostError
    return job, step


def _fail(step: Step, attempt: Attempt, now: datetime, code: str, reason: str, remedy: Sequence[str]) -> None:
    transition(step, StepState.FAILED, code=code, reason=reason)
    step.finished_at, step.remedy = now, list(remedy)
    step.claim_token = step.lease_until = step.nudge_at = step.due_at = None
    attempt.outcome = attempt.outcome or Outcome.FAILED
    attempt.code, attempt.reason, attempt.finished_at = code, reason, now


def _sentences(reason: str, addition: str) -> str:
    return f"{reason.rstrip('.')}. {addition}"


def _schedule(step: Step, state: StepState, until: datetime, code: str, reason: str) -> None:
    transition(step, state, code=code, reason=reason)
    step.due_at = step.nudge_at = until


def _wipe_password_after_last_use(session: Session, step: Step) -> None:
    unfinished = session.scalar(
        select(Step.id).where(
            Step.job_id == step.job_id, Step.needs_secret, Step.id != step.id, Step.state.not_in(PASSED)
        )
    )
    if unfinished is None:
        sealed_passwords.wipe(session, [step.job_id])

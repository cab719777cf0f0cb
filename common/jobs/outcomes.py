"""Outcomes of attempts: what is recorded when one ends. Each needs the claim's token, and ends the claim.

The picture of a step's states is in `attempts`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from common.admission import outages, slots
from common.admission.outages import Hold, HoldCode
from common.database.engine import Database
from common.database.models import Attempt, Step
from common.jobs import hot_path
from common.jobs.attempts import fail, open_attempt
from common.jobs.claims import Claim, ClaimLostError, held, renew_in
from common.jobs.events import transition
from common.jobs.hot_path import Onward
from common.jobs.lifecycle import settle
from common.states import Outcome, StepState
from common.workflows import Upstream

INTERNAL = "internal"  # the code of what broke inside Slipway
UNEXPLAINED = "unexplained_refusal"  # the code of an attempt that was refused though our account works
UNDECIDED = "undecided_refusal"  # the code of an attempt that was refused, and nobody could be asked why
REFUSALS = frozenset({HoldCode.REFUSED.value, UNEXPLAINED, UNDECIDED})


def record_success(
    db: Database, claim: Claim, output: Mapping[str, object], *, onward: Onward | None = None
) -> Claim | None:
    """Record the output; the next step of the lane becomes ready. Raises ClaimLostError.

    With `onward` the next step is claimed in the same transaction if nothing keeps it, and its claim returned.
    """
    made: list[Claim] = []

    def work(session: Session) -> Claim | None:
        try:
            following = hot_path.succeed(session, claim, output, db.now, onward)
        except ClaimLostError:
            _recorded(session, claim)
            is_made = bool(made) and renew_in(session, made[-1], db.now)  # by the commit of which we were not told
            return made[-1] if is_made else None
        made.extend([following] if following else [])
        return following

    _record_answer(db, claim)
    return db.repeatable(work, outlasts_locks=True)  # as in `_record`


def record_wait(db: Database, claim: Claim, *, code: str, reason: str, retry_after_s: float) -> StepState:
    """Schedule another poll; out of time means failed. Returns the new state. Raises ClaimLostError."""
    limit = claim.plan.wait

    def change(_session: Session, step: Step, attempt: Attempt, now: datetime) -> None:
        step.forgiven = step.attempts - 1  # a poll that worked: earlier failures do not add up over a long wait
        step.waiting_since = step.waiting_since or now
        until = step.waiting_since + timedelta(seconds=limit.at_most_s if limit else 0)
        if now >= until:
            waited = f"Gave up waiting after {limit.at_most_s:.0f} s." if limit else "The step may not wait."
            fail(step, attempt, now, "wait_timed_out", _sentences(reason, waited), [])
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
    is_counted: bool = True,
    is_answer: bool = False,
    is_told_to_wait: bool = False,
) -> StepState:
    """Schedule another attempt in `delay_s`; out of attempts means failed. Returns the new state.

    `unavailable` is the upstream that did not answer. After `enough` such steps in a row it is probed; an attempt that
    fails while it is down does not count, nor does one that is not `is_counted`. `is_answer`: the upstream did answer,
    with an error. `is_told_to_wait`: the delay is the upstream's own, as after too many calls. Raises ClaimLostError.
    """

    def change(session: Session, step: Step, attempt: Attempt, now: datetime) -> None:
        attempts = claim.plan.retry.attempts
        if not is_counted or (unavailable and outages.is_down(session, unavailable)):
            step.forgiven += 1
        if (unavailable or is_told_to_wait) and step.waiting_since is not None:
            step.waiting_since += now - claim.at + timedelta(seconds=delay_s)  # time that it cannot use is no wait
        if step.attempts - step.forgiven >= attempts:
            fail(step, attempt, now, code, _sentences(reason, f"Gave up after {attempts} attempts."), [])
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


def record_failure(
    db: Database,
    claim: Claim,
    *,
    code: str,
    reason: str,
    remedy: Sequence[str] = (),
    output: Mapping[str, object] | None = None,
) -> StepState:
    """Stop the lane here; `output` is what the step has done all the same. Returns the new state.

    Raises ClaimLostError.
    """

    def change(_session: Session, step: Step, attempt: Attempt, now: datetime) -> None:
        step.output = dict(output) if output is not None else step.output
        fail(step, attempt, now, code, reason, remedy)

    return _record(db, claim, change, is_answer=code != INTERNAL)


@dataclass(frozen=True, kw_only=True)
class RefusedBefore:
    """The refusals of a step, one after another, before the present attempt. `since`: the first of them.

    `held_at`: when the last one held the upstream. `unexplained`: how many of the last ones nothing explained.
    `undecided`: after how many of them nobody could be asked.
    """

    since: datetime | None = None
    held_at: datetime | None = None
    unexplained: int = 0
    undecided: int = 0


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
        elif not is_present and code == UNDECIDED:
            found = replace(found, since=finished_at, undecided=found.undecided + 1)
        elif not is_present:
            break
        if polls:
            break
    return found


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
            job, step = held(session, claim)
        except ClaimLostError:
            return _recorded(session, claim)
        now = db.now()
        step.claim_token = step.lease_until = step.nudge_at = None
        step.nudges = 0
        slots.release(session, claim.admission, claim.token, now)
        change(session, step, open_attempt(session, step), now)
        settle(session, job, now)
        return step.state

    if is_answer:
        _record_answer(db, claim)
    return db.repeatable(work, outlasts_locks=True)  # what was done is known to this worker only: its lease is renewed


def _record_answer(db: Database, claim: Claim) -> None:
    """Record that the upstream answered, if it is in doubt: so it is, whatever becomes of the step."""
    if claim.admission.is_doubted:
        outages.record_answer(db, claim.plan.visits)


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


def _sentences(reason: str, addition: str) -> str:
    return f"{reason.rstrip('.')}. {addition}"


def _schedule(step: Step, state: StepState, until: datetime, code: str, reason: str) -> None:
    transition(step, state, code=code, reason=reason)
    step.due_at = step.nudge_at = until

"""The runner of steps: the one place that claims, runs, records, retries and fails.

the step …                   the runner …                                  Celery and Flower see
returns                      records the output, and runs the next step    SUCCESS
raises NotYet                writes when to poll again                     RETRY, with the reason
raises Transient             writes when to try again, or fails            RETRY, or FAILURE
raises Refused               asks for our standing (`worker/refusals.py`)  RETRY, or FAILURE
raises Conflict, Permanent   fails                                         FAILURE, with the reason
raises anything else         fails as internal, the trace goes to the log  FAILURE
cannot be claimed            does nothing: the message came twice, or late REFUSED
its upstream is closed       parks it: no attempt, no message until then   RETRY, with the reason
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from common.admission import refusals
from common.admission.outages import Hold, HoldCode
from common.admission.slots import Limits
from common.database.repeats import CommitUnknownError
from common.errors import Conflict, Kept, NotYet, Permanent, Refused, StepError, Transient
from common.jobs import attempts, claims, ledger, outcomes
from common.jobs.claims import Claim, ClaimLostError, ClaimRefused
from common.jobs.hot_path import Onward
from common.jobs.outcomes import INTERNAL, UNDECIDED
from common.states import StepState
from common.workflows import Upstream, task_name
from worker import telemetry
from worker.context import StepContext, WorkerContext
from worker.lane import ONE_STEP, Lane
from worker.refusals import Ask, Refusals, asking, log_over
from worker.registry import StepFunction
from worker.upstreams import Upstreams
from worker.upstreams.http import Deadline

log = logging.getLogger(__name__)

DATABASE_ERRORS = (OperationalError, InterfaceError, IntegrityError, PoolTimeoutError, CommitUnknownError)

DATABASE_AWAY = "database_away"

Jitter = Callable[[], float]  # a factor around 1
Signal = Callable[[], None]
KeepLease = Callable[[Claim], AbstractContextManager[None]]


def _ignore() -> None:
    """Do nothing: nobody listens."""


class NextAction(StrEnum):
    """What the lane does now."""

    GO_ON = "go on"
    LATER = "later"
    STOP = "stop"
    NOT_OURS = "not ours"


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """`state` is the step's after an attempt; None: it was not this worker's to change.

    `following` is the claim of the lane's next step, which this worker has to run now.
    """

    action: NextAction
    state: StepState | None = None
    code: str = ""
    reason: str = ""
    following: Claim | None = None

    @property
    def headline(self) -> str:
        """The first line of the reason: what follows it, a build's console say, is for the job's readers only."""
        return self.reason.partition("\n")[0]


class Runner:
    """Runs one attempt after another in whatever thread calls it."""

    def __init__(
        self,
        context: WorkerContext,
        upstreams: Upstreams,
        steps: Mapping[str, StepFunction],
        limits: Limits,
        *,
        worker: str,
        ask: Ask | None = None,
        on_unavailable: Signal = _ignore,
        on_room: Signal = _ignore,
        keep_lease: KeepLease = lambda _claim: nullcontext(),
        jitter: Jitter = lambda: random.uniform(0.8, 1.2),  # noqa: S311 - spreads retries, guards nothing
    ) -> None:
        """`ask` asks for our standing at an upstream; None: with `upstreams`.

        `on_unavailable` is called when an upstream did not answer, `on_room` when a step has released its slots.

        `keep_lease` renews a claim while the attempt runs inside it.
        """
        self._context = context
        self._db = context.db
        self._upstreams = upstreams
        self._steps = steps
        self._limits = limits
        self._worker = worker
        self._refusals = Refusals(self._db, ask or asking(upstreams), limits)
        self._on_unavailable = on_unavailable
        self._on_room = on_room
        self._keep_lease = keep_lease
        self._jitter = jitter

    def run(self, job_id: str, step: str, lane: Lane = ONE_STEP) -> StepResult:
        """Run one attempt of a step if it is to be run, and record its outcome. Return that of the last step.

        After a success it goes on with the next step, for as long as `lane` permits it and nothing keeps the step:
        success and claim are one transaction. While the database is away nothing can be run: the step is left as it
        is, and a clock sends it again.
        """
        result = self._recording(job_id, step, lambda: self._claim_and_run(job_id, step, lane))
        while (following := result.following) is not None:
            result = self._go_on(following, lane)
        return result

    def _go_on(self, claim: Claim, lane: Lane) -> StepResult:
        lane.begin(task_name(claim.job.kind, claim.step.name))
        return self._recording(claim.job.id, claim.step.name, lambda: self._run_claimed(claim, lane))

    def _recording(self, job_id: str, step: str, work: Callable[[], StepResult]) -> StepResult:
        with telemetry.message(job_id, step):
            try:
                return work()
            except DATABASE_ERRORS:
                log.exception("database_failed")
                return StepResult(action=NextAction.LATER, code=DATABASE_AWAY, reason="Slipway's database is away.")

    def _claim_and_run(self, job_id: str, step: str, lane: Lane) -> StepResult:
        claim = attempts.claim(self._db, job_id, step, worker=self._worker, limits=self._limits)
        if not isinstance(claim, Claim):
            telemetry.not_run(claim)
            return _not_run(claim)
        return self._run_claimed(claim, lane)

    def _run_claimed(self, claim: Claim, lane: Lane = ONE_STEP) -> StepResult:
        with self._keep_lease(claim), telemetry.attempt(claim, self._worker) as attempt:
            result = self._run_unless_lost(claim, lane)
            attempt.ended(result.state, code=result.code, reason=result.headline)
        return result

    def _run_unless_lost(self, claim: Claim, lane: Lane) -> StepResult:
        try:
            result = self._attempt(claim, lane)
        except ClaimLostError:
            claims.release(self._db, claim)
            return StepResult(action=NextAction.NOT_OURS, code="claim_lost", reason="its lease ran out while it ran")
        self._on_room()
        return result

    def _attempt(self, claim: Claim, lane: Lane) -> StepResult:
        context = StepContext(claim, self._context)
        upstreams = self._upstreams.within(Deadline.within(claim.plan.limit_s), before_write=context.require_claim)
        result = self._run_step(claim, context, upstreams, lane)
        if result.code not in (HoldCode.REFUSED, UNDECIDED):
            self._end_trials(claim, upstreams)
        return result

    def _end_trials(self, claim: Claim, upstreams: Upstreams) -> None:
        """End each hold for which this was the trial, if a call like the refused one was accepted."""
        for row in claim.admission.trials:
            now = self._db.now()
            is_accepted = upstreams.connections[Upstream(row.upstream)].has_accepted(is_write=row.is_write)
            is_to_end = is_accepted or refusals.is_trial_over(row, now)
            if is_to_end and refusals.end(self._db, row, now, is_accepted=is_accepted):
                log_over(row, now)

    def _run_step(self, claim: Claim, context: StepContext, upstreams: Upstreams, lane: Lane) -> StepResult:
        name = task_name(claim.job.kind, claim.step.name)
        try:
            output = self._steps[name](context, upstreams)
        except StepError as error:
            return self._not_done(claim, error)
        except ClaimLostError:
            raise
        except DATABASE_ERRORS:
            log.exception("database_failed")
            return self._not_done(claim, Transient("Slipway's database did not answer in time"))
        except Exception:  # here an unknown failure becomes a state
            log.exception("step_crashed")
            reason = "An internal error occurred in Slipway. Its log has the details under this job's ID."
            outcomes.record_failure(self._db, claim, code=INTERNAL, reason=reason)
            return StepResult(action=NextAction.STOP, state=StepState.FAILED, code=INTERNAL, reason=reason)
        onward = Onward(worker=self._worker, limits=self._limits, may_begin=lane.may_begin)
        following = outcomes.record_success(self._db, claim, output, onward=onward)
        return StepResult(action=NextAction.GO_ON, state=StepState.SUCCEEDED, following=following)

    def _not_done(self, claim: Claim, error: StepError) -> StepResult:
        if isinstance(error, Refused) and (refusing := Upstream.labelled(error.upstream)):
            meaning = self._refusals.meaning_of(claim, error, refusing)
            if isinstance(meaning, Hold):
                state = outcomes.record_hold(self._db, claim, meaning)
                return StepResult(action=NextAction.LATER, state=state, code=meaning.code, reason=meaning.reason)
            error = meaning
        match error:
            case NotYet():
                state = outcomes.record_wait(
                    self._db, claim, code=error.code, reason=error.reason, retry_after_s=error.retry_after_s
                )
            case Transient():
                is_counted = error.code != UNDECIDED
                # The hint is a minimum: a server that says 0 must not use up the attempts at once.
                backoff_s = claim.plan.retry.delay_s(claim.tries if is_counted else 1) * self._jitter()
                delay_s = max(error.retry_after_s or 0, backoff_s)
                upstream = Upstream.labelled(error.upstream)
                state = outcomes.record_retry(
                    self._db,
                    claim,
                    code=error.code,
                    reason=error.reason,
                    delay_s=delay_s,
                    unavailable=upstream if error.is_unavailable else None,
                    enough=self._context.settings.outage_after,
                    is_counted=is_counted,
                    is_answer=upstream is not None and not error.is_unavailable,
                    is_told_to_wait=error.retry_after_s is not None,
                )
                if error.is_unavailable:
                    self._on_unavailable()
            case Conflict():
                ledger.withdraw(self._db, claim)
                output = error.output if isinstance(error, Kept) else None
                state = outcomes.record_failure(
                    self._db, claim, code=error.code, reason=error.reason, remedy=error.choices, output=output
                )
            case Permanent():
                remedy = [REMEDIES[error.action_by]]
                state = outcomes.record_failure(self._db, claim, code=error.code, reason=error.reason, remedy=remedy)
            case _:
                raise TypeError(f"{type(error).__name__} is none of the four outcomes") from error
        action = NextAction.STOP if state is StepState.FAILED else NextAction.LATER
        return StepResult(action=action, state=state, code=error.code, reason=error.reason)


def _not_run(why: ClaimRefused | Hold) -> StepResult:
    if isinstance(why, Hold):
        return StepResult(action=NextAction.LATER, reason=why.reason)
    # One that is done as well: whoever did it has gone on with the lane, or the clock does.
    return StepResult(action=NextAction.NOT_OURS, reason=why.value)


REMEDIES: dict[Any, str] = {
    "user": "Change the request and send it again.",
    "operator": "Ask the platform team: a setting, a permission or a template has to be corrected first.",
    "upstream": "Ask the people who run the upstream: the cause has to be corrected there first.",
}

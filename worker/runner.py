"""The runner of steps: the one place that claims, runs, records, retries and fails.

the step …                   the runner …                                  Celery and Flower see
returns                      records the output; the lane continues        SUCCESS
raises NotYet                writes when to poll again                     RETRY, with the reason
raises Transient             writes when to try again, or fails            RETRY, or FAILURE
raises Refused               asks for our standing (`worker/refusals.py`)  RETRY, or FAILURE
raises Conflict, Permanent   fails                                         FAILURE, with the reason
raises anything else         fails as internal, the trace goes to the log  FAILURE
cannot be claimed            does nothing, or passes on a finished step    REFUSED, or SUCCESS
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
from common.jobs.attempts import ClaimRefused
from common.jobs.claims import Claim, ClaimLostError
from common.jobs.outcomes import INTERNAL, UNDECIDED
from common.states import StepState
from common.workflows import Upstream, task_name
from worker import telemetry
from worker.context import StepContext, WorkerContext
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
    """`state` is the step's after an attempt; None: it was not this worker's to change."""

    action: NextAction
    state: StepState | None = None
    code: str = ""
    reason: str = ""

    @property
    def headline(self) -> str:
        """The first line of the reason: what follows it, a build's console say, is for the job's readers only."""
        return self.reason.partition("\n")[0]


class Runner:
    """Runs one attempt at a time in whatever thread calls it."""

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

    def run(self, job_id: str, step: str) -> StepResult:
        """Run one attempt of a step if it is to be run, and record its outcome.

        While the database is away nothing can be: the step is left as it is, and a clock sends it again.
        """
        with telemetry.message(job_id, step):
            try:
                claim = attempts.claim(self._db, job_id, step, worker=self._worker, limits=self._limits)
                if not isinstance(claim, Claim):
                    telemetry.not_run(claim)
                    return _not_run(claim)
                with self._keep_lease(claim), telemetry.attempt(claim, self._worker) as attempt:
                    result = self._run_claimed(claim)
                    attempt.ended(result.state, code=result.code, reason=result.headline)
            except DATABASE_ERRORS:
                log.exception("database_failed")
                return StepResult(action=NextAction.LATER, code=DATABASE_AWAY, reason="Slipway's database is away.")
            return result

    def _run_claimed(self, claim: Claim) -> StepResult:
        try:
            result = self._attempt(claim)
        except ClaimLostError:
            claims.release(self._db, claim)
            return StepResult(action=NextAction.NOT_OURS, code="claim_lost", reason="its lease ran out while it ran")
        self._on_room()
        return result

    def _attempt(self, claim: Claim) -> StepResult:
        context = StepContext(claim, self._context)
        upstreams = self._upstreams.within(Deadline.within(claim.plan.limit_s), before_write=context.require_claim)
        result = self._run_step(claim, context, upstreams)
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

    def _run_step(self, claim: Claim, context: StepContext, upstreams: Upstreams) -> StepResult:
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
        outcomes.record_success(self._db, claim, output)
        return StepResult(action=NextAction.GO_ON, state=StepState.SUCCEEDED)

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
    return StepResult(action=NextAction.GO_ON if why is ClaimRefused.DONE else NextAction.NOT_OURS, reason=why.value)


REMEDIES: dict[Any, str] = {
    "user": "Change the request and send it again.",
    "operator": "Ask the platform team: a setting, a permission or a template has to be corrected first.",
    "upstream": "Ask the people who run the upstream: the cause has to be corrected there first.",
}

"""Who decides what becomes of a step?  The one place that claims, runs, records, retries and fails.

the step …                   the runner …                                  Celery and Flower see
returns                      records the output; the lane goes on          SUCCESS
raises NotYet                writes when to look again                     RETRY, with the reason
raises Transient             writes when to try again, or fails            RETRY, or FAILURE
raises Conflict, Permanent   fails                                         FAILURE, with the reason
raises anything else         fails as internal, the trace goes to the log  FAILURE
cannot be claimed            does nothing, or passes on a finished step    REJECTED, or SUCCESS
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from common import jobs, ledger
from common.db import CommitUnknownError
from common.errors import Conflict, NotYet, Permanent, StepError, Transient
from common.jobs import Claim, ClaimLostError, Refused
from common.models import StepState
from common.workflows import task_name
from worker.registry import StepFunction
from worker.running import RunningJob, Surroundings
from worker.upstreams import Upstreams
from worker.upstreams.http import Deadline

log = logging.getLogger(__name__)

DATABASE_STUMBLED = (OperationalError, InterfaceError, IntegrityError, PoolTimeoutError, CommitUnknownError)

Jitter = Callable[[], float]  # a factor around 1


class Verdict(StrEnum):
    """What the lane does now."""

    GO_ON = "go on"
    LATER = "later"
    STOP = "stop"
    NOT_OURS = "not ours"


@dataclass(frozen=True, kw_only=True)
class Result:
    verdict: Verdict
    reason: str = ""

    @property
    def headline(self) -> str:
        """The first line of the reason: what follows it, a build's console say, is for the job's readers only."""
        return self.reason.partition("\n")[0]


class Runner:
    """Runs one attempt at a time in whatever thread calls it."""

    def __init__(
        self,
        surroundings: Surroundings,
        upstreams: Upstreams,
        steps: Mapping[str, StepFunction],
        *,
        worker: str,
        jitter: Jitter = lambda: random.uniform(0.8, 1.2),  # noqa: S311 - spreads retries, guards nothing
    ) -> None:
        self._around = surroundings
        self._db = surroundings.db
        self._upstreams = upstreams
        self._steps = steps
        self._worker = worker
        self._jitter = jitter

    def run(self, job_id: str, step: str) -> Result:
        """Run one attempt of a step if it is to be run, and record what came of it."""
        claim = jobs.claim(self._db, job_id, step, worker=self._worker)
        if isinstance(claim, Refused):
            log.info("step_not_claimed", extra={"job_id": job_id, "step": step, "why": claim.value})
            return Result(verdict=Verdict.GO_ON if claim is Refused.DONE else Verdict.NOT_OURS, reason=claim.value)
        extra = {"job_id": job_id, "step": step, "attempt": claim.attempt}
        log.info("step_started", extra=extra)
        try:
            result = self._attempt(claim)
        except ClaimLostError:
            log.warning("claim_lost", extra=extra)
            return Result(verdict=Verdict.NOT_OURS, reason="its lease ran out while it ran")
        log.info("step_ended", extra={**extra, "verdict": result.verdict.value, "reason": result.headline})
        return result

    def _attempt(self, claim: Claim) -> Result:
        name = task_name(claim.job.kind, claim.step.name)
        upstreams = self._upstreams.within(Deadline.within(claim.plan.limit_s))
        try:
            output = self._steps[name](RunningJob(claim, self._around), upstreams)
        except StepError as error:
            return self._not_done(claim, error)
        except ClaimLostError:
            raise
        except DATABASE_STUMBLED:
            log.exception("database_stumbled", extra={"job_id": claim.job.id, "step": claim.step.name})
            return self._not_done(claim, Transient("Slipway's database did not answer in time"))
        except Exception:  # the runner is where an unknown failure becomes a state
            log.exception("step_crashed", extra={"job_id": claim.job.id, "step": claim.step.name})
            reason = "Something broke inside Slipway. The log has the details under this job's id."
            jobs.fail(self._db, claim, code="internal", reason=reason)
            return Result(verdict=Verdict.STOP, reason=reason)
        jobs.succeed(self._db, claim, output)
        return Result(verdict=Verdict.GO_ON)

    def _not_done(self, claim: Claim, error: StepError) -> Result:
        match error:
            case NotYet():
                state = jobs.wait(
                    self._db, claim, code=error.code, reason=error.reason, retry_after_s=error.retry_after_s
                )
            case Transient():
                # The hint is the least, not the most: a server that says 0 must not use up the attempts in no time.
                delay_s = max(error.retry_after_s or 0, claim.plan.retry.delay_s(claim.tries) * self._jitter())
                state = jobs.stumble(self._db, claim, code=error.code, reason=error.reason, delay_s=delay_s)
            case Conflict():
                ledger.withdraw(self._db, claim)
                state = jobs.fail(self._db, claim, code=error.code, reason=error.reason, remedy=error.choices)
            case Permanent():
                remedy = [REMEDIES[error.mender]]
                state = jobs.fail(self._db, claim, code=error.code, reason=error.reason, remedy=remedy)
            case _:
                raise TypeError(f"{type(error).__name__} is none of the four outcomes") from error
        verdict = Verdict.STOP if state is StepState.FAILED else Verdict.LATER
        return Result(verdict=verdict, reason=error.reason)


REMEDIES: dict[Any, str] = {
    "user": "Change what was asked for and ask again.",
    "operator": "Ask the platform team: a setting, a permission or a template has to be mended first.",
    "upstream": "Ask the people who run the upstream: it has to be mended there first.",
}

"""Telemetry of attempts and ticks: lines of the log, numbers for Prometheus, and spans.

Every line that is written during an attempt, by whatever code, has the ids of the job and of the attempt, and the id
of the request that began the job. Calls: `worker/upstreams/call_telemetry.py`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from structlog.contextvars import bound_contextvars

from common.admission.outages import Hold
from common.jobs.claims import Claim, ClaimRefused
from common.states import StepState
from common.telemetry import metrics, tracing
from common.telemetry.span import Kind, Span
from common.workflows import task_name

log = logging.getLogger(__name__)

LOST = "lost"  # the attempt's claim ran out, or its job was over
UNRECORDED = "unrecorded"  # the outcome could not be stored: the lease runs out, and another attempt follows
UNSUCCESSFUL = (StepState.FAILED, LOST, UNRECORDED)


# -- an attempt ---------------------------------------------------------------------------------------------------


@contextmanager
def message(job_id: str, step: str) -> Iterator[None]:
    """Put the ids of a message on every line written inside."""
    with bound_contextvars(job_id=job_id, step=step):
        yield


def not_run(why: ClaimRefused | Hold) -> None:
    """Log and count why a message did not start a step."""
    if isinstance(why, Hold):
        log.info("step_held_back", extra={"why": why.code.value})
        metrics.CLAIMS_REFUSED.labels(why.code.value).inc()
    else:
        log.info("step_not_claimed", extra={"why": why.value})
        metrics.CLAIMS_REFUSED.labels(why.name.lower()).inc()


@dataclass
class AttemptTelemetry:
    """The outcome of an attempt: the step's state after it, with its code and reason."""

    outcome: str = UNRECORDED
    code: str = ""
    reason: str = ""

    def ended(self, state: StepState | None, *, code: str, reason: str) -> None:
        self.outcome, self.code, self.reason = (state.value if state else LOST), code, reason


@contextmanager
def attempt(claim: Claim, worker: str) -> Iterator[AttemptTelemetry]:
    """Record the attempt that is made inside."""
    job, task = claim.job, task_name(claim.job.kind, claim.step.name)
    ids: dict[str, str | int] = {"kind": job.kind, "attempt": claim.attempt, "request_id": job.request_id}
    about = {"job_id": job.id, "step": claim.step.name, **ids}
    attributes = {f"slipway.{name}": value for name, value in about.items()}
    made, began_s = AttemptTelemetry(), time.monotonic()
    with tracing.span(task, Kind.CONSUMER, parent=job.traceparent, attributes=attributes) as span:
        trace = {"trace_id": span.trace_id} if span.trace_id else {}
        with bound_contextvars(**ids, **trace, worker=worker):
            log.info("step_started")
            try:
                yield made
            finally:
                _record_attempt(task, made, span, time.monotonic() - began_s)


def _record_attempt(task: str, attempt: AttemptTelemetry, span: Span, took_s: float) -> None:
    metrics.ATTEMPT_S.labels(task, attempt.outcome).observe(took_s)
    if attempt.outcome == StepState.RETRYING:
        metrics.RETRIES.labels(task, attempt.code).inc()
    span.set({"slipway.outcome": attempt.outcome})
    if attempt.outcome in UNSUCCESSFUL:
        span.fail(attempt.code or attempt.outcome)
    why = {"code": attempt.code, "reason": attempt.reason} if attempt.code else {}
    extra = {"outcome": attempt.outcome, **why, "ms": _ms(took_s)}
    log.log(logging.WARNING if attempt.outcome in UNSUCCESSFUL else logging.INFO, "step_ended", extra=extra)


# -- a tick -------------------------------------------------------------------------------------------------------


@contextmanager
def tick(ticker: str) -> Iterator[None]:
    """Measure one round of a periodic thread."""
    outcome, began_s = "failed", time.monotonic()
    try:
        yield
        outcome = "done"
    finally:
        metrics.TICK_S.labels(ticker, outcome).observe(time.monotonic() - began_s)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)

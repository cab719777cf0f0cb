"""Typical durations of steps, from the latest successes of each step of each workflow.

They decide when a client should poll again and how long a job is likely to take. Each process caches them; a caller
that finds them older than a minute refreshes them, and no other thread waits for that.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby

from sqlalchemy import select
from sqlalchemy.orm import Session

from common import workflows
from common.database.engine import Database
from common.database.models import Job, Step
from common.states import PASSED, UNSETTLED, StepState

REFRESH_S = 60.0
SAMPLES = 200  # the newest of each step, in all workflows
MIN_SAMPLES = 5  # fewer are not representative
MIN_DELAY_S, MAX_DELAY_S = 1, 30  # between two polls of a client
PARKED_S = 5.0  # for a parked step, whose waiting time is unknown


@dataclass(frozen=True)
class TypicalDuration:
    """The median and the 90th percentile of a step's duration in seconds, waits and retries included."""

    p50_s: float
    p90_s: float


NO_DURATIONS: Mapping[str, TypicalDuration] = {}


@dataclass
class Cache:
    """The cached durations of one workflow, and when they were measured (monotonic seconds)."""

    typical: Mapping[str, TypicalDuration] = field(default_factory=dict)
    at_s: float = -math.inf
    refreshing: threading.Lock = field(default_factory=threading.Lock)


class StepDurations:
    """Typical durations by workflow and step."""

    def __init__(self, db: Database, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._db = db
        self._clock_s = clock_s
        self._cached = {kind: Cache() for kind in workflows.WORKFLOWS}

    def of(self, kind: str) -> Mapping[str, TypicalDuration]:
        """Return the typical durations of a workflow's steps.

        A step with too few successes has the duration that the plan expects, or is left out.
        """
        cached = self._cached.get(kind)
        if cached is None:
            return NO_DURATIONS
        if self._clock_s() - cached.at_s >= REFRESH_S and cached.refreshing.acquire(blocking=False):
            try:
                cached.typical = self._db.read(lambda session: _measure(session, kind))
                cached.at_s = self._clock_s()
            finally:
                cached.refreshing.release()
        return cached.typical

    def first_poll_delay_s(self, kind: str) -> int:
        """Return the seconds until a new job's first step is likely to end, from the cache alone."""
        cached, flow = self._cached.get(kind), workflows.WORKFLOWS.get(kind)
        if cached is None or flow is None:
            return MIN_DELAY_S
        firsts = [
            cached.typical[lane.steps[0].name].p50_s for lane in flow.lanes if lane.steps[0].name in cached.typical
        ]
        return _clamp(min(firsts, default=MIN_DELAY_S))

    def poll_delay_s(self, job: Job, steps: Iterable[Step], now: datetime) -> int:
        """Return the seconds until the next change of an open job is likely."""
        typical = self.of(job.kind)
        return _clamp(
            min((_until_change_s(step, typical, now) for step in steps if step.state in UNSETTLED), default=MIN_DELAY_S)
        )

    def remaining(self, job: Job, steps: Iterable[Step], now: datetime) -> TypicalDuration | None:
        """Return the likely remaining time of an open job.

        None while a step is retried or held back, whose end nobody knows, or a remaining one has no typical duration.
        """
        typical = self.of(job.kind)
        steps = list(steps)
        if any(step.state is StepState.RETRYING or step.parked_at is not None for step in steps):
            return None
        lanes = [
            [step for step in lane if step.state in UNSETTLED or step.state is StepState.PENDING]
            for _, lane in groupby(steps, key=lambda step: step.lane)
        ]
        if not any(lanes) or any(step.name not in typical for lane in lanes for step in lane):
            return None
        return TypicalDuration(
            p50_s=max(sum(_left_s(step, typical[step.name].p50_s, now) for step in lane) for lane in lanes),
            p90_s=max(sum(_left_s(step, typical[step.name].p90_s, now) for step in lane) for lane in lanes),
        )


def _measure(session: Session, kind: str) -> dict[str, TypicalDuration]:
    steps = workflows.WORKFLOWS[kind].steps
    measured = {step.name: _durations(session, kind, step.name) for step in steps}
    expected = {step.name: TypicalDuration(step.expected_s, step.expected_s) for step in steps if step.expected_s}
    return expected | {
        name: _typical(durations) for name, durations in measured.items() if len(durations) >= MIN_SAMPLES
    }


def _durations(session: Session, kind: str, name: str) -> list[float]:
    newest = (
        select(Step.job_id, Step.state, Step.started_at, Step.finished_at)
        .where(Step.name == name, Step.finished_at.is_not(None))
        .order_by(Step.finished_at.desc())
        .limit(SAMPLES)
        .subquery()
    )
    rows = session.execute(
        select(newest.c.state, newest.c.started_at, newest.c.finished_at)
        .join(Job, Job.id == newest.c.job_id)
        .where(Job.kind == kind)
    )
    return sorted(
        (row.finished_at - row.started_at).total_seconds() for row in rows if row.state in PASSED and row.started_at
    )


def _typical(durations: list[float]) -> TypicalDuration:
    return TypicalDuration(p50_s=_quantile(durations, 0.5), p90_s=_quantile(durations, 0.9))


def _quantile(ascending: list[float], share: float) -> float:
    return ascending[math.ceil(share * len(ascending)) - 1]


def _until_change_s(step: Step, typical: Mapping[str, TypicalDuration], now: datetime) -> float:
    if step.parked_at is not None:
        return PARKED_S
    if step.due_at is not None and step.state is not StepState.READY:
        return (step.due_at - now).total_seconds()
    cached = typical.get(step.name)
    return _left_s(step, cached.p50_s, now) if cached else MIN_DELAY_S


def _left_s(step: Step, typical_s: float, now: datetime) -> float:
    elapsed_s = (now - step.started_at).total_seconds() if step.started_at else 0.0
    return max(0.0, typical_s - elapsed_s)


def _clamp(seconds: float) -> int:
    return max(MIN_DELAY_S, min(MAX_DELAY_S, math.ceil(seconds)))

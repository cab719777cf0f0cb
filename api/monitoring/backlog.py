"""Backlog gauges for Prometheus: what waits, for how long and why, queried from the database and the broker.

Every query reads open rows through an index, so a million finished jobs do not slow it down. Queries run one at a time
and their results are cached for a few seconds. A scrape waits at most 2 s for all of them, then leaves out the missing
ones.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLateError
from datetime import datetime, timedelta
from functools import partial

from celery import Celery
from kombu.exceptions import OperationalError
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from redis.exceptions import RedisError
from sqlalchemy import Select, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from api.monitoring.queue_age import due_steps
from common.admission import outages, parking, refusals, slots
from common.admission.outages import HoldCode
from common.broker import QUEUES
from common.database.engine import Database
from common.database.models import Job, Step, Team, UpstreamStatus, WorkerPresence
from common.jobs import lifecycle, outputs
from common.notifications import queues
from common.states import OPEN, JobState
from common.step_outputs import CheckupOutput
from common.telemetry import metrics
from common.telemetry.metrics import QueriedGauge
from common.workflows import INSTALLATION, SIGNUP, WORKFLOWS, Upstream

log = logging.getLogger(__name__)

CACHE_S = 5.0
GONE_AFTER = timedelta(seconds=35)  # a worker shows itself every 10 s
WRONG = "wrong"  # the state of a check that found something
TIMEOUT_S = 2.0

Sample = tuple[QueriedGauge, tuple[str, ...], float]  # gauge, values of its labels, value
Samples = list[Sample]


class BackgroundRead:
    """A query that runs on a shared thread and caches its result. `up_gauge` reports whether the query succeeded."""

    def __init__(
        self,
        thread: Executor,
        read: Callable[[], Samples],
        *,
        up_gauge: QueriedGauge | None = None,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.up_gauge = up_gauge
        self._thread = thread
        self._read = read
        self._clock_s = clock_s
        self._lock = threading.Lock()
        self._latest: Future[Samples | None] | None = None
        self._began_at_s = 0.0
        self._has_failed = False

    def start(self) -> Future[Samples | None]:
        """Return the cached result, the query that is running, or a new query."""
        with self._lock:
            if self._latest is None or (self._latest.done() and self._clock_s() >= self._began_at_s + CACHE_S):
                self._latest, self._began_at_s = self._thread.submit(self._query), self._clock_s()
            return self._latest

    def _query(self) -> Samples | None:
        """Return what was read, None when that failed: the first failure is logged, not each scrape of an outage."""
        try:
            samples = self._read()
        except (SQLAlchemyError, OperationalError, RedisError, OSError) as error:
            if not self._has_failed:
                log.warning("backlog_read_failed", extra={"error": type(error).__name__})
            self._has_failed = True
            return None
        self._has_failed = False
        return samples


class BacklogCollector(Collector):
    """Collects the gauges that are queried from the database and the broker."""

    def __init__(self, db: Database, queue: Celery) -> None:
        self._db = db
        self._queue = queue
        self._threads = {name: ThreadPoolExecutor(1, thread_name_prefix=name) for name in ("database", "broker")}
        database = self._threads["database"]
        self._reads = (
            BackgroundRead(database, partial(db.read, self._upstreams), up_gauge=metrics.DATABASE_UP),
            BackgroundRead(database, partial(db.read, self._jobs)),
            BackgroundRead(database, partial(db.read, self._due)),
            BackgroundRead(database, partial(db.read, self._operations)),
            BackgroundRead(self._threads["broker"], self._messages, up_gauge=metrics.BROKER_UP),
        )

    def stop(self) -> None:
        for thread in self._threads.values():
            thread.shutdown(wait=False, cancel_futures=True)
        self._db.dispose()

    def describe(self) -> Iterable[GaugeMetricFamily]:
        return [_family(each) for each in metrics.QUERIED_GAUGES]

    def collect(self) -> Iterable[GaugeMetricFamily]:
        until_s = time.monotonic() + TIMEOUT_S
        families: dict[QueriedGauge, GaugeMetricFamily] = {}
        for gauge, labels, number in self._samples([(each.up_gauge, each.start()) for each in self._reads], until_s):
            families.setdefault(gauge, _family(gauge)).add_metric(labels, number)
        return families.values()

    def _samples(
        self, started: list[tuple[QueriedGauge | None, Future[Samples | None]]], until_s: float
    ) -> Iterator[Sample]:
        for up_gauge, answer in started:
            samples = _await_result(answer, until_s)
            if up_gauge is not None:
                yield up_gauge, (), float(samples is not None)
            yield from samples or ()

    def _upstreams(self, session: Session) -> Samples:
        """Query the lag of the clock, and for each upstream its status, used slots and parked steps."""
        now = self._db.now()
        statuses, in_use = outages.read(session), slots.in_use(session, now)
        samples: Samples = [(metrics.CLOCK_LAG_S, (), _age_s(session.scalar(select(func.min(Step.nudge_at))), now))]
        for name, status in statuses.items():
            samples += [
                (metrics.UPSTREAM_UP, (name,), float(status.down_since is None)),
                (metrics.UPSTREAM_REFUSED, (name,), float(refusals.of(status.refusals, None) is not None)),
                (metrics.UPSTREAM_PAUSED, (name,), float(status.paused_at is not None)),
                (metrics.SLOTS_IN_USE, (name,), in_use.get(name, 0)),
            ]
        parked = (
            select(Step.upstream, func.count())
            .where(Step.upstream.in_(list(Upstream)), Step.parked_at.is_not(None))
            .group_by(Step.upstream)
        )
        for name, count in session.execute(parked):
            samples.append((metrics.STEPS_PARKED, (name, _hold_reason(statuses, name)), count))
        return samples

    def _jobs(self, session: Session) -> Samples:
        """Count open jobs from an index alone: its columns begin with team and kind, so the query lists all of both."""
        now, teams = self._db.now(), session.scalars(select(Team.id)).all()
        is_open = (Job.team_id.in_(teams), Job.kind.in_(list(WORKFLOWS)), Job.state.in_(sorted(OPEN)))
        rows = session.execute(
            select(Job.kind, Job.state, func.count(), func.min(Job.id)).where(*is_open).group_by(Job.kind, Job.state)
        ).all()
        oldest_ids: dict[tuple[str, JobState], str | None] = {row[:2]: row[3] for row in rows}
        if (SIGNUP.name, JobState.QUEUED) in oldest_ids:  # one that waits for people says nothing of us
            oldest_ids[SIGNUP.name, JobState.QUEUED] = session.scalar(_oldest_signup(teams))
        oldest = select(Job.state, func.min(Job.created_at)).where(Job.id.in_(oldest_ids.values()))
        since = {row[0]: row[1] for row in session.execute(oldest.group_by(Job.state))}
        ages = [(metrics.OLDEST_JOB_S, (state.value,), _age_s(since.get(state), now)) for state in OPEN]
        return [*ages, *((metrics.JOBS, (kind, state.value), count) for kind, state, count, _ in rows)]

    def _due(self, session: Session) -> Samples:
        now = self._db.now()
        due = due_steps(session, now)
        samples: Samples = []
        for upstream in Upstream:
            count, since = due.get(upstream.value, (0, None))
            samples += [
                (metrics.STEPS_DUE, (upstream.value,), count),
                (metrics.OLDEST_DUE_STEP_S, (upstream.value,), _age_s(since, now)),
            ]
        return samples

    def _operations(self, session: Session) -> Samples:
        """Query the workers that run, the last check-up, and the notifications that wait."""
        now = self._db.now()
        waiting = sum(queues.waiting(session).values())
        running = select(func.count()).where(WorkerPresence.seen_at > now - GONE_AFTER)
        samples: Samples = [
            (metrics.WORKERS, (), session.scalar(running) or 0),
            (metrics.NOTIFICATIONS_WAITING, (), waiting),
        ]
        found = outputs.last_checkup(session, INSTALLATION)
        return samples if found is None else [*samples, *_of_checkup(*found, now)]

    def _messages(self) -> Samples:
        with self._queue.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=TIMEOUT_S)
            channel = connection.default_channel
            # Redis does not store empty queues, so declaring a queue only reads it.
            sizes = {name: channel.queue_declare(queue=name).message_count for name in QUEUES}
        return [(metrics.BROKER_MESSAGES, (name,), size) for name, size in sizes.items()]


def _of_checkup(job: Job, report: CheckupOutput, now: datetime) -> Samples:
    samples: Samples = [
        (metrics.CHECKUP_AGE_S, (), _age_s(job.finished_at, now)),
        (metrics.CHECKUP_FAILED, (), report["counts"].get(WRONG, 0)),
    ]
    for check in report["checks"]:
        upstream, expires_at = Upstream.labelled(check["group"]), check.get("expires_at")
        if upstream is not None and expires_at:
            left_s = (datetime.fromisoformat(expires_at) - now).total_seconds()
            samples.append((metrics.TOKEN_EXPIRES_S, (upstream.value,), left_s))
    return samples


def _await_result(answer: Future[Samples | None], until_s: float) -> Samples | None:
    try:
        return answer.result(max(0.0, until_s - time.monotonic()))
    except TooLateError:
        return None


def _family(gauge: QueriedGauge) -> GaugeMetricFamily:
    return GaugeMetricFamily(gauge.name, gauge.help, labels=gauge.labels)


def _age_s(since: datetime | None, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds()) if since else 0.0


def _oldest_signup(teams: Sequence[str]) -> Select[str]:
    """Return the query for the oldest sign-up that is queued and waits for nobody's confirmation or approval."""
    is_queued = (Job.team_id.in_(teams), Job.kind == SIGNUP.name, Job.state == JobState.QUEUED)
    return select(func.min(Job.id)).where(*is_queued, ~lifecycle.IS_REVIEWED)


def _hold_reason(statuses: Mapping[str, UpstreamStatus], upstream: str) -> str:
    """Return why the parked steps of an upstream are held back."""
    hold = slots.hold_on_any(statuses, parking.visited_from(Upstream(upstream)))
    return hold.code.value if hold else HoldCode.BUSY.value

"""Metrics: their names, labels and descriptions; `docs/metrics.md` is generated from this module.

Every label has few values, which are ours: a workflow, a step, a route, an upstream, never what a client sends. The
QUERIED_GAUGES are read from the database when Prometheus asks, by the API alone: every process would report the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.values import MutexValue
from sqlalchemy import event
from sqlalchemy.orm import Session

from common.states import OPEN, JobState
from common.workflows import WORKFLOWS

disable_created_metrics()  # type: ignore[no-untyped-call] # they would be a second series for every one

API, WORKER = CollectorRegistry(), CollectorRegistry()  # what each of them serves

CALL_BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
ATTEMPT_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 200)
REQUEST_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
TICK_BUCKETS_S = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 15)

# -- the API

REQUEST_S = Histogram(
    "slipway_http_request_duration_seconds",
    "Time from a request to the start of its response; streams and long polls wait after that.",
    ("route", "method", "status"),
    buckets=REQUEST_BUCKETS_S,
    registry=API,
)

# -- workers

ATTEMPT_S = Histogram(
    "slipway_attempt_duration_seconds",
    "Duration of attempts; a task is workflow.step.",
    ("task", "outcome"),
    buckets=ATTEMPT_BUCKETS_S,
    registry=WORKER,
)
RETRIES = Counter("slipway_retries", "Attempts that another one follows, by cause.", ("task", "code"), registry=WORKER)
ATTEMPTS_LOST = Counter(
    "slipway_attempts_lost", "Attempts whose worker died or reported too late.", ("task",), registry=WORKER
)
CLAIMS_REFUSED = Counter(
    "slipway_claims_refused",
    "Messages that did not start a step. Duplicate deliveries are normal and harmless.",
    ("reason",),
    registry=WORKER,
)
CALL_S = Histogram(
    "slipway_upstream_call_duration_seconds",
    "Duration of calls; the status is 2xx, …, or none when no complete response came.",
    ("upstream", "method", "status"),
    buckets=CALL_BUCKETS_S,
    registry=WORKER,
)
CALL_ERROR_KINDS = ("unreachable", "timed_out", "broken", "invalid")
CALL_ERRORS = Counter(
    "slipway_upstream_errors",
    "Calls without a complete response: unreachable (nothing was sent), timed_out, broken, or invalid (our fault).",
    ("upstream", "kind"),
    registry=WORKER,
)
TICK_S = Histogram(
    "slipway_tick_duration_seconds",
    "Duration of periodic work: `clock` (dispatch), `lookout` (outage probe), `refusal_probe`, `keeper` (retention), "
    "`audit_pruner`, `pulse` (heartbeat), `leases` (renewal of the claims of running steps), `presence`, `outbox`, "
    "`webhook` and `dead_mans_switch` (notifications).",
    ("ticker", "outcome"),
    buckets=TICK_BUCKETS_S,
    registry=WORKER,
)


NOTIFICATION_OUTCOMES = ("accepted", "refused", "dropped")
NOTIFICATIONS = Counter(
    "slipway_notifications",
    "Notifications sent to webhooks: accepted, refused (and tried again), or dropped after the retention.",
    ("outcome",),
    registry=WORKER,
)


class ProcessGauge(Gauge):
    """A gauge without labels, in the memory of its process. Else it would be in files that the API reads."""

    def _metric_init(self) -> None:
        self._value = MutexValue(self._type, self._name, self._name, (), (), self._documentation)  # type: ignore[no-untyped-call] # it ships no types


WORKER_BROKER_UP = ProcessGauge(
    "slipway_worker_broker_up",
    "1 while this worker takes messages from the broker; while it does not, it runs what is due from the database.",
    registry=WORKER,
)

# -- both

JOBS_FINISHED = Counter(
    "slipway_jobs_finished", "Jobs that this process ended, by final state.", ("kind", "state"), registry=WORKER
)
API.register(JOBS_FINISHED)


def begin_jobs_at_zero() -> None:
    """Let there be a counter of every kind and end: Prometheus sees no increase where a series begins with 1."""
    for kind in WORKFLOWS:
        for state in set(JobState) - OPEN:
            JOBS_FINISHED.labels(kind, state.value)


def count_when_committed(session: Session, counter: Counter) -> None:
    """Count one when the session's transaction is committed, and none when it is rolled back."""
    event.listen(session, "after_commit", lambda _session: counter.inc(), once=True)


# -- the database and the broker


@dataclass(frozen=True, kw_only=True)
class QueriedGauge:
    """A gauge that is read when Prometheus asks for it."""

    name: str
    help: str
    labels: tuple[str, ...] = ()


DATABASE_UP = QueriedGauge(
    name="slipway_database_up",
    help="1 when the database answered within 2 s; while it does not, the metrics that are read from it are missing.",
)
JOBS = QueriedGauge(name="slipway_jobs", help="Jobs that have not ended.", labels=("kind", "state"))
OLDEST_JOB_S = QueriedGauge(
    name="slipway_oldest_job_age_seconds",
    help="Age of the oldest job in this state, since it was accepted; sign-ups that wait for people are left out.",
    labels=("state",),
)
STEPS_DUE = QueriedGauge(
    name="slipway_steps_due",
    help="Steps that are due and have not been started, without those that are held back.",
    labels=("upstream",),
)
OLDEST_DUE_STEP_S = QueriedGauge(
    name="slipway_oldest_due_step_age_seconds",
    help="How long the oldest of these steps has been due: the age of the queue.",
    labels=("upstream",),
)
STEPS_PARKED = QueriedGauge(
    name="slipway_steps_parked",
    help="Steps that are held back until their upstream can take them: outage, refused, paused, or busy.",
    labels=("upstream", "reason"),
)
UPSTREAM_UP = QueriedGauge(
    name="slipway_upstream_up",
    help="0 while an upstream is known to be down; it is probed until it answers.",
    labels=("upstream",),
)
UPSTREAM_REFUSED = QueriedGauge(
    name="slipway_upstream_refused",
    help="1 while the upstream refuses the account of workers, or all calls of a kind; it is checked until that ends.",
    labels=("upstream",),
)
UPSTREAM_PAUSED = QueriedGauge(
    name="slipway_upstream_paused",
    help="1 while an administrator has paused the upstream.",
    labels=("upstream",),
)
SLOTS_IN_USE = QueriedGauge(
    name="slipway_upstream_slots_in_use", help="Steps that are running on an upstream.", labels=("upstream",)
)
CLOCK_LAG_S = QueriedGauge(
    name="slipway_clock_lag_seconds",
    help="How long the oldest due step has waited for a clock to dispatch it; a few seconds mean that no clock runs.",
)
WORKERS = QueriedGauge(name="slipway_workers", help="Worker processes that run, as the database knows them.")
CHECKUP_AGE_S = QueriedGauge(
    name="slipway_checkup_age_seconds", help="Age of the last check-up that has finished; missing before the first one."
)
CHECKUP_FAILED = QueriedGauge(
    name="slipway_checkup_failed_checks", help="Checks of the last check-up that found something wrong."
)
TOKEN_EXPIRES_S = QueriedGauge(
    name="slipway_token_expires_seconds",
    help="Time until our token of an upstream expires, as the last check-up found it; missing if it never does.",
    labels=("upstream",),
)
NOTIFICATIONS_WAITING = QueriedGauge(
    name="slipway_notifications_waiting", help="Notifications that some target has not accepted yet."
)
BROKER_UP = QueriedGauge(name="slipway_broker_up", help="1 when the broker answered within 2 s.")
BROKER_MESSAGES = QueriedGauge(
    name="slipway_broker_messages", help="Messages in the queue that no worker has taken yet.", labels=("queue",)
)

QUERIED_GAUGES = (
    DATABASE_UP, JOBS, OLDEST_JOB_S, STEPS_DUE, OLDEST_DUE_STEP_S, STEPS_PARKED, UPSTREAM_UP, UPSTREAM_REFUSED,
    UPSTREAM_PAUSED, SLOTS_IN_USE, CLOCK_LAG_S, WORKERS, CHECKUP_AGE_S, CHECKUP_FAILED, TOKEN_EXPIRES_S,
    NOTIFICATIONS_WAITING, BROKER_UP, BROKER_MESSAGES,
)  # fmt: skip

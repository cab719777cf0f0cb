"""The Celery app of a worker process: `celery -A worker worker`, `celery -A worker flower`.

Tasks are made from `common/workflows.py`, one for each step, under its name.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

from celery import Celery, current_task
from celery.apps.worker import Worker
from celery.exceptions import Ignore, Retry
from celery.signals import celeryd_after_setup, setup_logging, worker_init, worker_shutdown, worker_shutting_down
from celery.worker import state
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from common.admission import slots
from common.audit import AuditPruner
from common.broker import QUEUES, Publisher, celery_app
from common.config import catalog, settings
from common.config.settings import FlowerSettings, SettingsError, WorkerSettings
from common.database import migrate
from common.database.engine import Database
from common.database.migrate import SchemaError
from common.database.models import Job
from common.database.repeats import CommitUnknownError
from common.jobs.retention import EVERY_S, RetentionSweeper
from common.notifications import outbox
from common.telemetry import logs, tracing
from common.vault.cipher import Vault
from common.workflows import WORKFLOWS, task_name
from worker import (
    flower,
    heartbeat,
    leases,
    liveness,
    mailer,
    metrics_server,
    notifications,
    presence,
    transport,
    upstreams,
)
from worker.broker_link import BrokerLink
from worker.chained_lane import ChainedLane
from worker.clock import TICK_S, Clock
from worker.consumer import LeanConsumer
from worker.context import WorkerContext
from worker.direct_lanes import DirectLanes
from worker.flower import TaskEvents
from worker.lane import Intake
from worker.leases import LeaseRenewal
from worker.liveness import WorkerRegister
from worker.mailer import Mailer
from worker.outage_probe import INTERVAL_S, OutageProbe
from worker.periodic import PeriodicThread
from worker.presence import Presence
from worker.rate_limit import rate_limiters
from worker.refusals import RefusalProbe, asking
from worker.registry import load_steps
from worker.runner import DATABASE_AWAY, NextAction, Runner, StepResult

log = logging.getLogger(__name__)

ID_LENGTH = 36  # of a job's
BROKER_SILENCE_S = 2.0  # must exceed kombu's blocking pop of 1 s, or idle workers reconnect


class StepFailedError(Exception):
    """A failed step as Flower shows it, by its representation; the database has the full reason."""

    def __repr__(self) -> str:
        return str(self)


class LaterError(Retry):  # type: ignore[misc] # Celery ships no types
    """The step waits in its row. Flower shows this representation; Celery's own leaves the reason out."""

    def __repr__(self) -> str:
        return str(self.message)


class SlipwayWorker(Worker):  # type: ignore[misc] # Celery ships no types
    """Celery's own, with our tasks: it reads how to log in to the upstreams, or does not start.

    Its banner is for people, so it is shown only where logs are text; Python's warnings become lines of the log.
    """

    def on_before_init(self, **options: Any) -> None:
        try:
            config = settings.load(WorkerSettings)
            logs.configure(config)
            configure_app(self.app, config)
        except (SettingsError, SchemaError) as problem:
            _refuse(problem)
        logging.captureWarnings(capture=True)
        super().on_before_init(**{**options, "quiet": options.get("quiet") or not logs.is_for_people(config)})


def configure_app(app: Celery, config: WorkerSettings) -> None:
    """Give the app a task for each step, and a clock that ticks while the worker runs.

    Raises SettingsError for an invalid catalog, SchemaError for another version's database.
    """
    db_url = config.db_url.get_secret_value()
    app.conf.worker_concurrency = config.worker_concurrency
    db = Database(db_url, pool_size=config.worker_concurrency)
    outbox.announce(db, config.notify_events)
    context = WorkerContext(
        db=db.patient(leases.RECORDS_WITHIN_S),
        settings=config,
        catalog=catalog.load(config),
        vault=Vault([key.get_secret_value() for key in config.secret_keys]),
    )
    name = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    register = WorkerRegister(liveness.directory_for(db_url))
    logins = upstreams.logins(config, context.vault)
    limits = slots.limits_of(config, logins)
    connections = upstreams.open_connections(config, rate_limiters(db, limits))
    clients = upstreams.clients(connections)
    refusal_probe = RefusalProbe(db, asking(clients), logins)
    link = BrokerLink()
    app.conf.worker_consumer = partial(LeanConsumer, link=link)
    clock = Clock(db, Publisher(app), register, limits, link)
    renewal = LeaseRenewal(Database(db_url, now=db.now, pool_size=1, answers_within_s=leases.ANSWERS_WITHIN_S, tries=1))
    shown = Presence(db, name, concurrency=config.worker_concurrency)
    threads = PeriodicThreads(
        clock=PeriodicThread("clock", clock.tick, every_s=TICK_S),
        outage_probe=PeriodicThread("lookout", OutageProbe(db, connections).run, every_s=INTERVAL_S),
        refusal_probe=PeriodicThread("refusal_probe", refusal_probe.run, every_s=INTERVAL_S),
        retention=PeriodicThread("keeper", RetentionSweeper(db, config).sweep_some, every_s=EVERY_S),
        mailer=PeriodicThread("mailer", Mailer(db, config).send_due, every_s=mailer.EVERY_S),
        presence=PeriodicThread("presence", shown.show, every_s=presence.EVERY_S),
        notifications=tuple(notifications.threads(db, config)),
        audit_pruner=PeriodicThread("audit_pruner", AuditPruner(db, config).prune_some, every_s=EVERY_S),
    )
    task_events, intake = TaskEvents(), Intake()
    runner = Runner(
        context,
        clients,
        {step: task_events.reporting(function) for step, function in load_steps().items()},
        limits,
        worker=name,
        on_unavailable=threads.outage_probe.wake,
        on_room=lambda: threads.clock.wake() if clock.has_parked else None,
        keep_lease=renewal.keep,
    )
    for flow in WORKFLOWS.values():
        for step in flow.steps:
            _add_task(app, db, runner, task_events, intake, task_name(flow.name, step.name))
    _check_schema(db)
    _sign_on_before_work(register, name)
    _tick_while_running(threads, clock, runner, db, intake, shown)
    _renew_leases(PeriodicThread("leases", renewal.renew, every_s=leases.EVERY_S))  # after it: it ends in this order
    heartbeat.watch(app, register, link)
    metrics_server.serve_while_running(config)
    worker_init.connect(lambda **_: tracing.configure(config, "slipway-worker"), weak=False)


def _add_task(app: Celery, db: Database, runner: Runner, task_events: TaskEvents, intake: Intake, name: str) -> None:
    def run(*given: object, **named: object) -> None:
        job_id = given[0] if len(given) == 1 and not named else None
        if not isinstance(job_id, str) or len(job_id) > ID_LENGTH:  # anybody's message: the log must not quote it
            transport.reject(TypeError("no job's id"))
            raise Ignore
        lane = ChainedLane(current_task.request, job_id, intake, task_events)
        result = runner.run(job_id, name.partition(".")[2], lane)
        if (
            result.state is None and result.code != DATABASE_AWAY
        ):  # no step has run, which would have said what it is about
            task_events.describe(_input_of(db, job_id))
        _end_task(task_events, result)

    app.task(name=name, throws=(StepFailedError,), Request=task_events.request_class())(run)


def _input_of(db: Database, job_id: str) -> Mapping[str, Any]:
    """Return what a job is about, for Flower; nothing while that cannot be read."""
    try:
        return db.read(lambda session: session.scalar(select(Job.input).where(Job.id == job_id))) or {}
    except SQLAlchemyError:
        return {}


def _end_task(task_events: TaskEvents, result: StepResult) -> None:
    """End the task so that Flower shows what happened, and so that the chain continues or stops."""
    match result.action:
        case NextAction.GO_ON:
            return  # Celery sends what is left of the chain
        case NextAction.LATER:
            raise LaterError(result.headline)  # raised, not sent: the row has the time, and no message waits anywhere
        case NextAction.STOP:
            raise StepFailedError(result.headline)
        case NextAction.NOT_OURS:
            task_events.refused(result.reason)
            raise Ignore


@dataclass(frozen=True, kw_only=True)
class PeriodicThreads:
    """The background threads of a worker."""

    clock: PeriodicThread
    outage_probe: PeriodicThread
    refusal_probe: PeriodicThread
    retention: PeriodicThread
    mailer: PeriodicThread
    presence: PeriodicThread
    notifications: tuple[PeriodicThread, ...]
    audit_pruner: PeriodicThread

    @property
    def _all(self) -> tuple[PeriodicThread, ...]:
        return (
            self.clock,
            self.outage_probe,
            self.refusal_probe,
            self.retention,
            self.mailer,
            self.presence,
            self.audit_pruner,
            *self.notifications,
        )

    def start(self) -> None:
        for thread in self._all:
            thread.start()
        self.presence.wake()  # it is to be seen from the beginning

    def stop(self) -> None:
        for thread in self._all:
            thread.stop()


def _sign_on_before_work(register: WorkerRegister, name: str) -> None:
    def sign_on(**_: Any) -> None:
        try:
            register.sign_on(name)
        except OSError as error:  # if this worker dies, its steps wait for their leases
            log.warning("liveness_unavailable", extra={"error": str(error)})

    worker_init.connect(sign_on, weak=False)


def _renew_leases(thread: PeriodicThread) -> None:
    """Renew leases from before the first step until the last one has ended, those without messages included."""
    worker_init.connect(lambda **_: thread.start(), weak=False)
    worker_shutdown.connect(lambda **_: thread.stop(), weak=False)


def _tick_while_running(
    threads: PeriodicThreads, clock: Clock, runner: Runner, db: Database, intake: Intake, shown: Presence
) -> None:
    """Start before the worker connects, which it may never do; end after its last step."""

    def start(instance: Any, **_: Any) -> None:
        queues = set(instance.app.amqp.queues.consume_from)  # those of the option -Q
        intake.queues = None if queues >= set(QUEUES) else queues
        clock.direct = DirectLanes(
            db,
            lambda job_id, step, rest: runner.run(job_id, step, rest).action is NextAction.GO_ON,
            threads=instance.concurrency,
            queues=intake.queues,
            busy=lambda: len(state.reserved_requests),
            on_room=threads.clock.wake,
        )
        threads.start()

    def end(**_: Any) -> None:
        intake.close()
        if clock.direct:
            clock.direct.end()

    def stop(**_: Any) -> None:
        if clock.direct:
            clock.direct.join()
        threads.stop()
        with suppress(SQLAlchemyError, CommitUnknownError):  # then it is shown as gone after some seconds
            shown.leave()
        db.dispose()

    celeryd_after_setup.connect(start, weak=False)
    worker_shutting_down.connect(end, weak=False)
    worker_shutdown.connect(stop, weak=False)


def _check_schema(db: Database) -> None:
    try:
        migrate.check(db)
    except SQLAlchemyError:  # its text contains the address
        raise SystemExit("The database does not answer.") from None


def _refuse(problem: Exception) -> NoReturn:
    print(problem, file=sys.stderr)  # noqa: T201 - logging is not set up when settings are wrong
    raise SystemExit(78)  # EX_CONFIG: a restart would not help


def _load() -> Celery:
    """Return the app that every command of Celery starts from."""
    try:
        config = settings.load(FlowerSettings if "flower" in sys.argv else WorkerSettings)
    except SettingsError as problem:
        _refuse(problem)
    logs.configure(config)
    setup_logging.connect(lambda **_: None, weak=False)  # ours stays
    app = celery_app(config, publishing_s=BROKER_SILENCE_S)
    transport.install()
    app.Worker = app.subclass_with_self(SlipwayWorker)
    flower.prepare(app, config if isinstance(config, FlowerSettings) else None, refuse=_refuse)
    return app


app = _load()

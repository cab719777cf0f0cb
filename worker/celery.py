"""The Celery app of a worker process: `celery -A worker worker`, `celery -A worker flower`.

Tasks are made from `common/workflows.py`, one for each step, under its name.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import sys
from dataclasses import dataclass
from typing import Any, NoReturn

from celery import Celery
from celery.apps.worker import Worker
from celery.exceptions import Ignore, Retry
from celery.signals import setup_logging, worker_init, worker_ready, worker_shutdown
from sqlalchemy.exc import SQLAlchemyError

from common.admission import slots
from common.broker import Publisher, celery_app
from common.config import catalog, settings
from common.config.settings import FlowerSettings, SettingsError, WorkerSettings
from common.database import migrate
from common.database.engine import Database
from common.database.migrate import SchemaError
from common.jobs.retention import EVERY_S, RetentionSweeper
from common.telemetry import logs, tracing
from common.vault.cipher import Vault
from common.workflows import WORKFLOWS, task_name
from worker import flower, heartbeat, liveness, metrics_server, upstreams
from worker.clock import TICK_S, Clock
from worker.consumer import LeanConsumer
from worker.context import WorkerContext
from worker.flower import TaskEvents
from worker.liveness import WorkerRegister
from worker.outage_probe import INTERVAL_S, OutageProbe
from worker.periodic import PeriodicThread
from worker.rate_limit import rate_limiters
from worker.registry import load_steps
from worker.runner import NextAction, Runner, StepResult

log = logging.getLogger(__name__)

BROKER_SILENCE_S = 2.0  # must exceed kombu's blocking pop of 1 s, or idle workers reconnect


class StepFailedError(Exception):
    """What Flower shows of a failed step, by its representation; the database has the whole of it."""

    def __repr__(self) -> str:
        return str(self)


class LaterError(Retry):  # type: ignore[misc] # Celery ships no types
    """The step waits in its row. Flower shows the representation, and Celery's own leaves the reason out."""

    def __repr__(self) -> str:
        return str(self.message)


class SlipwayWorker(Worker):  # type: ignore[misc] # Celery ships no types
    """Celery's own, with our tasks: it reads how to log in to the upstreams, or does not start.

    Its banner and Python's warnings are no lines of a log: people get to see the one, the others become such lines.
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

    Raises SettingsError for a catalog that does not hold together, SchemaError for another version's database.
    """
    db_url = config.db_url.get_secret_value()
    app.conf.worker_concurrency = config.worker_concurrency
    db = Database(db_url, pool_size=config.worker_concurrency)
    around = WorkerContext(
        db=db,
        settings=config,
        catalog=catalog.load(config),
        vault=Vault([key.get_secret_value() for key in config.secret_keys]),
    )
    name = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    register = WorkerRegister(liveness.directory_for(db_url))
    shares = slots.limits_of(config)
    connections = upstreams.open_connections(config, rate_limiters(db, shares))
    clock = Clock(db, Publisher(app), register, shares)
    tickers = PeriodicThreads(
        clock=PeriodicThread("clock", clock.tick, every_s=TICK_S),
        lookout=PeriodicThread("lookout", OutageProbe(db, connections).run, every_s=INTERVAL_S),
        keeper=PeriodicThread("keeper", RetentionSweeper(db, config).sweep_some, every_s=EVERY_S),
    )
    teller = TaskEvents()
    runner = Runner(
        around,
        upstreams.clients(connections),
        {step: teller.telling(function) for step, function in load_steps().items()},
        shares,
        worker=name,
        on_silence=tickers.lookout.wake,
        on_room=lambda: tickers.clock.wake() if clock.has_parked else None,
    )
    for flow in WORKFLOWS.values():
        for step in flow.steps:
            _add_task(app, runner, teller, flow.name, step.name)
    _check_schema(db)
    _sign_on_before_work(register, name)
    _tick_while_running(tickers, db)
    heartbeat.watch(app, register)
    metrics_server.serve_while_running(config)
    worker_init.connect(lambda **_: tracing.configure(config, "slipway-worker"), weak=False)


def _add_task(app: Celery, runner: Runner, teller: TaskEvents, flow: str, step: str) -> None:
    def run(job_id: str) -> None:
        _tell_celery(teller, runner.run(job_id, step))

    app.task(name=task_name(flow, step), throws=(StepFailedError,))(run)


def _tell_celery(teller: TaskEvents, result: StepResult) -> None:
    """End the task so that Flower shows what happened, and so that the chain goes on or stops."""
    match result.verdict:
        case NextAction.GO_ON:
            return
        case NextAction.LATER:
            raise LaterError(result.headline)  # raised, not sent: the row has the time, no message waits anywhere
        case NextAction.STOP:
            raise StepFailedError(result.headline)
        case NextAction.NOT_OURS:
            teller.refused(result.reason)
            raise Ignore


@dataclass(frozen=True, kw_only=True)
class PeriodicThreads:
    """What a worker does beside its steps."""

    clock: PeriodicThread
    lookout: PeriodicThread
    keeper: PeriodicThread

    def start(self) -> None:
        for ticker in (self.clock, self.lookout, self.keeper):
            ticker.start()

    def stop(self) -> None:
        for ticker in (self.clock, self.lookout, self.keeper):
            ticker.stop()


def _sign_on_before_work(register: WorkerRegister, name: str) -> None:
    def sign_on(**_: Any) -> None:
        try:
            register.sign_on(name)
        except OSError as error:  # if this worker dies, its steps wait for their leases
            log.warning("liveness_unavailable", extra={"error": str(error)})

    worker_init.connect(sign_on, weak=False)


def _tick_while_running(tickers: PeriodicThreads, db: Database) -> None:
    def start(**_: Any) -> None:
        tickers.start()

    def stop(**_: Any) -> None:
        tickers.stop()
        db.dispose()

    worker_ready.connect(start, weak=False)
    worker_shutdown.connect(stop, weak=False)


def _check_schema(db: Database) -> None:
    try:
        migrate.check(db)
    except SQLAlchemyError:  # what it says holds the address
        raise SystemExit("The database does not answer.") from None


def _refuse(problem: Exception) -> NoReturn:
    print(problem, file=sys.stderr)  # noqa: T201 - logging is not set up when settings are wrong
    raise SystemExit(78)  # EX_CONFIG: a supervisor need not try again


def _load() -> Celery:
    """Return the app that every command of Celery starts from."""
    try:
        config = settings.load(FlowerSettings if "flower" in sys.argv else WorkerSettings)
    except SettingsError as problem:
        _refuse(problem)
    logs.configure(config)
    setup_logging.connect(lambda **_: None, weak=False)  # ours stands
    app = celery_app(config, publishing_s=BROKER_SILENCE_S)
    app.conf.worker_consumer = LeanConsumer
    app.Worker = app.subclass_with_self(SlipwayWorker)
    flower.prepare(app, config if isinstance(config, FlowerSettings) else None, refuse=_refuse)
    return app


app = _load()

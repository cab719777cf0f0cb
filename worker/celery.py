"""The Celery app of a worker process: `celery -A worker worker`, `celery -A worker flower`.

Tasks are made from `common/workflows.py`, one for each step, under its name.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import sys
from typing import Any, NoReturn

from celery import Celery, Task
from celery.exceptions import Ignore, Retry
from celery.signals import setup_logging, worker_init, worker_ready, worker_shutdown

from common import catalog, logs, schema, settings
from common.db import Database
from common.queue import Publisher, celery_app
from common.schema import SchemaError
from common.settings import Settings, SettingsError
from common.vault import Vault
from common.workflows import WORKFLOWS, task_name
from worker import liveness, upstreams
from worker.clock import Clock
from worker.liveness import Register
from worker.registry import load_steps
from worker.runner import Result, Runner, Verdict
from worker.running import Surroundings

log = logging.getLogger(__name__)

BROKER_SILENCE_S = 2.0  # must exceed kombu's blocking pop of 1 s, or idle workers reconnect


class StepFailedError(Exception):
    """What Flower shows of a failed step; the database has the whole of it."""


class LaterError(Retry):  # type: ignore[misc] # Celery ships no types
    """The step waits in its row. Flower shows the representation, and Celery's own leaves the reason out."""

    def __repr__(self) -> str:
        return str(self.message)


def create_worker(config: Settings) -> Celery:
    """Return the app with a task for each step and a clock that ticks while the worker runs."""
    app = celery_app(config, publishing_s=BROKER_SILENCE_S)
    db_url = config.db_url.get_secret_value()
    db = Database(db_url, pool_size=config.worker_concurrency)
    around = Surroundings(
        db=db,
        settings=config,
        catalog=catalog.load(config),
        vault=Vault([key.get_secret_value() for key in config.secret_keys]),
    )
    steps = load_steps()
    name = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    runner = Runner(around, upstreams.connect(config), steps, worker=name)
    for flow in WORKFLOWS.values():
        for step in flow.steps:
            _add_task(app, runner, flow.name, step.name)
    register = Register(liveness.directory_for(db_url))
    _sign_on_before_work(register, name)
    _tick_while_running(Clock(db, Publisher(app), register), db)
    return app


def _add_task(app: Celery, runner: Runner, flow: str, step: str) -> None:
    def run(task: Task, job_id: str) -> None:
        _tell_celery(task, runner.run(job_id, step))

    app.task(name=task_name(flow, step), bind=True, throws=(StepFailedError,))(run)


def _tell_celery(task: Task, result: Result) -> None:
    """End the task so that Flower shows what happened, and so that the chain goes on or stops."""
    match result.verdict:
        case Verdict.GO_ON:
            return
        case Verdict.LATER:
            raise LaterError(result.headline)  # raised, not sent: the row has the time, no message waits anywhere
        case Verdict.STOP:
            raise StepFailedError(result.headline)
        case Verdict.NOT_OURS:
            task.send_event("task-rejected")
            raise Ignore


def _sign_on_before_work(register: Register, name: str) -> None:
    def sign_on(**_: Any) -> None:
        try:
            register.sign_on(name)
        except OSError as error:  # if this worker dies, its steps wait for their leases
            log.warning("liveness_unavailable", extra={"error": str(error)})

    worker_init.connect(sign_on, weak=False)


def _tick_while_running(clock: Clock, db: Database) -> None:
    def start(**_: Any) -> None:
        clock.start()

    def stop(**_: Any) -> None:
        clock.stop()
        db.dispose()

    worker_ready.connect(start, weak=False)
    worker_shutdown.connect(stop, weak=False)


def _refuse(problem: Exception) -> NoReturn:
    print(problem, file=sys.stderr)  # noqa: T201 - logging is not set up when settings are wrong
    raise SystemExit(78)  # EX_CONFIG: a supervisor need not try again


def _load() -> Celery:
    try:
        config = settings.load()
        logs.configure(config.log_format)
        setup_logging.connect(lambda **_: None, weak=False)  # ours stands
        app = create_worker(config)
        if "worker" in sys.argv:
            schema.check(Database(config.db_url.get_secret_value()))
    except (SettingsError, SchemaError) as problem:
        _refuse(problem)
    return app


app = _load()

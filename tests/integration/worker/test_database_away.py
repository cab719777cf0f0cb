"""A database that is away while a step runs: the outcome is recorded when it is back, by the worker that has it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from signal import SIGKILL
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from support.mariadb import Server
from support.world import Time, World

from common.database import migrate
from common.database.engine import CommitUnknownError, Database
from common.errors import Conflict, NotYet, Permanent, StepError, Transient
from common.states import Outcome, StepState
from harbour.world import Harbour
from worker.context import StepContext
from worker.runner import DATABASE_AWAY, NextAction, Runner
from worker.upstreams import Upstreams

STEP = "await_helm"
WITHIN_S = 60.0
NewName = Callable[[str], str]
OUTCOMES: dict[str, tuple[StepError | None, StepState, Outcome | None]] = {
    "success": (None, StepState.SUCCEEDED, Outcome.SUCCEEDED),
    "not yet": (NotYet("copying"), StepState.WAITING, None),
    "transient": (Transient("GitLab is away"), StepState.RETRYING, Outcome.TRANSIENT),
    "conflict": (Conflict("not ours"), StepState.FAILED, Outcome.FAILED),
    "permanent": (Permanent("no"), StepState.FAILED, Outcome.FAILED),
}


@pytest.fixture(scope="module")
def away_url(private: Server) -> str:
    url = private.url("away")
    db = Database(url)
    migrate.upgrade(db)
    db.dispose()
    return url


@pytest.fixture
def away(away_url: str, time: Time, harbour: Harbour) -> Iterator[World]:
    """A world on a server of its own, whose workers are as patient as real ones; the server runs again at the end."""
    db = Database(away_url, now=time)
    with db.engine.begin() as connection:
        connection.execute(text("SET FOREIGN_KEY_CHECKS = 0"))
        for table in connection.execute(text("SHOW TABLES")).scalars().all():
            if table != "alembic_version":
                connection.execute(text(f"TRUNCATE TABLE `{table}`"))
    yield World(db.patient(WITHIN_S), time, harbour)
    db.dispose()


@pytest.mark.parametrize("case", OUTCOMES)
def test_a_restart_of_the_database_while_a_step_runs_costs_no_attempt_and_repeats_nothing(
    away: World, private: Server, new_name: NewName, case: str
) -> None:
    error, state, outcome = OUTCOMES[case]
    job = away.make_app(new_name("app"))
    away.drive(job, until=STEP)
    ran: list[Future[None]] = []

    with ThreadPoolExecutor(1) as pool:

        def interrupted(_job: StepContext, _upstreams: Upstreams) -> dict[str, Any]:
            private.end(SIGKILL)
            ran.append(pool.submit(_restart_once_missed, away.db, private))
            if error is not None:
                raise error
            return {"project_id": 1, "clone_url": "http://git.example/it.git", "branch": "main"}

        result = _runner(away, interrupted).run(job.id, STEP)
        ran[0].result(WITHIN_S)

    assert len(ran) == 1
    assert (result.state, away.step(job, STEP).state) == (state, state)
    assert [attempt.outcome for attempt in away.attempts(job, STEP)] == [outcome]


def _restart_once_missed(db: Database, private: Server) -> None:
    """Start the server again, once somebody has asked it in vain."""
    is_missed = _missed(db)
    assert is_missed.result(WITHIN_S)
    private.start()


def _missed(db: Database) -> Future[bool]:
    missed: Future[bool] = Future()

    def failed(_context: Any) -> None:
        if not missed.done():
            missed.set_result(True)

    event.listen(db.engine, "handle_error", failed)
    return missed


def _runner(world: World, function: Callable[[StepContext, Upstreams], dict[str, Any]]) -> Runner:
    task = f"provision.{STEP}"
    return Runner(world.context, world.clients, {task: function}, world.limits, worker="w", jitter=lambda: 1.0)


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("SELECT", {}, Exception(2013)),
        InterfaceError("SELECT", {}, Exception(0)),
        IntegrityError("INSERT", {}, Exception(1062)),
        PoolTimeoutError(),
        CommitUnknownError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_step_that_the_database_fails_is_tried_again(world: World, new_name: NewName, error: Exception) -> None:
    job = world.make_app(new_name("app"))
    world.drive(job, until=STEP)

    def failing(_job: StepContext, _upstreams: Upstreams) -> dict[str, Any]:
        raise error

    result = _runner(world, failing).run(job.id, STEP)

    assert (result.action, result.state) == (NextAction.LATER, StepState.RETRYING)
    assert world.step(job, STEP).reason == "Slipway's database did not answer in time"


def test_a_claim_that_the_database_does_not_answer_leaves_the_step_to_the_clock(
    away: World, private: Server, new_name: NewName
) -> None:
    job = away.make_app(new_name("app"))
    away.drive(job, until=STEP)
    runner = partial(_runner(_impatient(away), lambda *_: pytest.fail("it ran")).run, job.id, STEP)
    private.end(SIGKILL)

    result = runner()

    private.start()
    assert (result.action, result.code) == (NextAction.LATER, DATABASE_AWAY)
    assert away.step(job, STEP).state is StepState.READY
    assert away.step(job, STEP).nudge_at is not None


def _impatient(world: World) -> World:
    world.context = type(world.context)(
        db=Database(str(world.db.engine.url.render_as_string(hide_password=False)), now=world.time),
        settings=world.settings,
        catalog=world.context.catalog,
        vault=world.context.vault,
    )
    return world

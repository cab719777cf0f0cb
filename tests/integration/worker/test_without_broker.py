"""A worker that never finds a broker works all the same, and one that is refused again and again holds nothing more."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.checkout import ROOT
from support.doctor_env import healthy_harbour
from support.redis_server import HOST, RedisServer, redis_server
from support.services import free_port
from support.worker_process import WorkerProcess, worker_process
from support.worker_world import has_succeeded, sign_up, worker_world
from support.world import World

from common.states import StepState
from harbour.world import Harbour

TRIES = 40


@pytest.fixture(scope="module")
def harbour(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harbour]:
    with healthy_harbour(tmp_path_factory.mktemp("harbour")) as harbour:
        yield harbour


@pytest.fixture
def world(migrated_sqlite: Path, tmp_path: Path, harbour: Harbour) -> Iterator[World]:
    """A world whose broker has never been there."""
    with worker_world(tmp_path / "db", migrated_sqlite, harbour, f"redis://{HOST}:{free_port()}/0") as world:
        yield world


def _health(worker: WorkerProcess) -> tuple[int, str]:
    """Return what the health check says of readiness."""
    command = [sys.executable, "-m", "worker.healthcheck", "--ready"]
    environment = {**os.environ, "TMPDIR": str(worker.temporary)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_jobs_end_without_a_broker_and_the_worker_ends_well(world: World, tmp_path: Path) -> None:
    jobs = [sign_up(world) for _ in range(5)]
    with worker_process(world.settings, tmp_path / "worker") as worker:
        worker.await_true("all jobs end", has_succeeded(world, *jobs))
        worker.await_true("it is ready", lambda: _health(worker)[0] == 0)
        _, note = _health(worker)
        code = worker.end(signal.SIGTERM)

    assert "works without the broker" in note
    assert code == 0, worker.text
    assert "cannot join thread" not in worker.text
    assert all(row.attempts == 1 for job in jobs for row in world.step_rows(job)), "nothing ran twice"


def test_without_a_broker_a_worker_keeps_to_its_queues(world: World, tmp_path: Path) -> None:
    job = sign_up(world)

    def are_over(*lanes: str) -> Callable[[], bool]:
        return lambda: all(row.state is StepState.SUCCEEDED for row in world.step_rows(job) if row.upstream in lanes)

    with worker_process(world.settings, tmp_path / "one", "-Q", "gitlab,slipway", "-n", "one@%h") as one:
        one.await_true("its lane ends", are_over("gitlab"))
        untouched = {row.attempts for row in world.step_rows(job) if row.upstream not in ("gitlab", "slipway")}
        with worker_process(world.settings, tmp_path / "two", "-Q", "jenkins,elasticsearch", "-n", "two@%h") as two:
            two.await_true("the job ends", has_succeeded(world, job))

    assert untouched == {0}


def _demote(redis: RedisServer) -> None:
    redis.admin.execute_command("REPLICAOF", HOST, "1")


@pytest.mark.parametrize(
    "refuse",
    [
        _demote,
        lambda redis: redis.admin.config_set("maxmemory", "1"),
        lambda redis: redis.allow("-brpop"),
        lambda redis: redis.allow("-@all", "+ping"),
        lambda redis: redis.allow("resetpass", ">another"),
        RedisServer.kill,
    ],
    ids=["demoted", "full", "may not pop", "may only ping", "a password that we lack", "dead"],
)
def test_to_be_refused_again_and_again_takes_up_no_more(
    refuse: Callable[[RedisServer], object], tmp_path: Path
) -> None:
    with redis_server(tmp_path / "redis") as redis:
        refuse(redis)
        command = [sys.executable, "-m", "support.reconnecting", redis.url, str(TRIES)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)

    held = [json.loads(line) for line in done.stdout.splitlines()]
    assert held, done.stderr
    first, last = held[2], held[-1]
    assert last == first, held
    assert last["lines"] == 1, "a line for the cause, and not for each try"

"""Dead workers of this host are known by their locks; their claims are released, nobody else's are."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest
from support.checkout import ROOT
from support.world import Time, World

from common.broker import Publisher, celery_app
from common.database.engine import Database
from common.database.models import Job
from common.jobs import attempts, dispatch, outcomes
from common.jobs.claims import Claim
from common.states import Outcome
from worker.broker_link import BrokerLink
from worker.clock import Clock
from worker.liveness import WorkerRegister, directory_for

SIGN_ON = """
import sys
from pathlib import Path
from worker.liveness import WorkerRegister
register = WorkerRegister(Path(sys.argv[1]))
register.sign_on(sys.argv[2])
print("signed on", flush=True)
sys.stdin.read()
"""
Start = Callable[[str], subprocess.Popen[str]]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "slipway" / "workers"


@pytest.fixture
def register(directory: Path) -> WorkerRegister:
    """The register of the worker that watches the others."""
    register = WorkerRegister(directory)
    register.sign_on("watcher")
    return register


@pytest.fixture
def start_worker(directory: Path) -> Iterator[Start]:
    """Start processes that sign on under a name and live until they are killed."""
    started: list[subprocess.Popen[str]] = []

    def start(name: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", SIGN_ON, str(directory), name],
            cwd=ROOT,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "signed on\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def clock(world: World, register: WorkerRegister) -> Clock:
    return Clock(world.db, Publisher(celery_app(world.settings)), register, world.limits, BrokerLink())


def _kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()


def _claimed_by(world: World, job: Job, worker: str) -> datetime:
    claim = attempts.claim(world.db, job.id, "fork_source", worker=worker, limits={})
    assert isinstance(claim, Claim)
    return _lease(world, job)


def _lease(world: World, job: Job) -> datetime:
    lease = world.step(job, "fork_source").lease_until
    assert lease is not None
    return lease


def test_the_claim_of_a_killed_worker_can_be_taken_over_after_a_second(
    world: World, new_name: Callable[[str], str], clock: Clock, start_worker: Start, time: Time
) -> None:
    job = world.make_app(new_name("app"))
    victim = start_worker("victim")
    _claimed_by(world, job, "victim")

    _kill(victim)
    clock.tick()

    assert (_lease(world, job) - time()).total_seconds() == dispatch.LAST_CALL_S
    time.advance(dispatch.LAST_CALL_S)
    assert isinstance(attempts.claim(world.db, job.id, "fork_source", worker="heir", limits={}), Claim)
    assert [attempt.outcome for attempt in world.attempts(job, "fork_source")] == [Outcome.LOST, None]


@pytest.mark.parametrize("is_stopped", [False, True])
def test_a_living_worker_keeps_its_claim_even_when_it_stands_still(
    world: World, new_name: Callable[[str], str], clock: Clock, start_worker: Start, is_stopped: bool
) -> None:
    job = world.make_app(new_name("app"))
    worker = start_worker("worker")
    lease = _claimed_by(world, job, "worker")

    if is_stopped:
        worker.send_signal(signal.SIGSTOP)
    clock.tick()

    assert _lease(world, job) == lease


def test_of_several_workers_only_the_dead_ones_claim_is_released(
    world: World, new_name: Callable[[str], str], clock: Clock, start_worker: Start
) -> None:
    workers = {name: start_worker(name) for name in ("one", "two", "three")}
    claimed = {name: world.make_app(new_name("app")) for name in workers}
    leases = {name: _claimed_by(world, job, name) for name, job in claimed.items()}

    _kill(workers["two"])
    clock.tick()

    assert [name for name, job in claimed.items() if _lease(world, job) != leases[name]] == ["two"]


def test_the_claim_of_a_worker_without_a_file_waits_for_its_lease(
    world: World, new_name: Callable[[str], str], clock: Clock
) -> None:
    job = world.make_app(new_name("app"))
    lease = _claimed_by(world, job, "another-host:1:abcd")

    clock.tick()

    assert _lease(world, job) == lease


def test_a_poll_belongs_to_the_worker_that_polls(
    world: World, new_name: Callable[[str], str], clock: Clock, start_worker: Start, time: Time
) -> None:
    job = world.make_app(new_name("app"))
    victim = start_worker("victim")
    first = attempts.claim(world.db, job.id, "fork_source", worker="watcher", limits={})
    assert isinstance(first, Claim)
    outcomes.record_success(world.db, first, {})
    poll = attempts.claim(world.db, job.id, "await_source", worker="watcher", limits={})
    assert isinstance(poll, Claim)
    outcomes.record_wait(world.db, poll, code="not_yet", reason="copying", retry_after_s=0)
    assert isinstance(attempts.claim(world.db, job.id, "await_source", worker="victim", limits={}), Claim)

    _kill(victim)
    clock.tick()

    lease = world.step(job, "await_source").lease_until
    assert lease is not None
    assert (lease - time()).total_seconds() == dispatch.LAST_CALL_S


def test_releasing_twice_does_not_prolong_the_lease(world: World, new_name: Callable[[str], str], time: Time) -> None:
    job = world.make_app(new_name("app"))
    _claimed_by(world, job, "dead")
    assert dispatch.release_worker(world.db, "dead").leases == 1
    lease = _lease(world, job)
    time.advance(dispatch.LAST_CALL_S / 2)

    assert dispatch.release_worker(world.db, "dead").leases == 0

    assert _lease(world, job) == lease


def test_the_files_of_dead_workers_are_removed(
    clock: Clock,
    directory: Path,
    start_worker: Start,
    db: Database,  # noqa: ARG001 - the clock ticks on it
) -> None:
    start_worker("alive")
    _kill(start_worker("dead"))
    assert sorted(file.name for file in directory.iterdir()) == ["alive", "dead", "watcher"]

    clock.tick()

    assert sorted(file.name for file in directory.iterdir()) == ["alive", "watcher"]


def test_who_never_signed_on_reports_nobody_dead(directory: Path) -> None:
    assert WorkerRegister(directory).dead() == []


def test_a_directory_that_others_can_write_to_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "everybodys"
    place.mkdir()
    place.chmod(0o777)

    with pytest.raises(PermissionError):
        WorkerRegister(place).sign_on("worker")


def test_a_link_in_the_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(PermissionError):
        WorkerRegister(tmp_path / "link").sign_on("worker")


def test_each_database_has_a_directory_of_its_own_and_its_name_tells_no_password() -> None:
    shop, shop_by_another_login, crew = (
        directory_for(url)
        for url in (
            "mysql+pymysql://a:secret@h/shop",
            "mysql+pymysql://b:other@h/shop",
            "mysql+pymysql://a:secret@h/crew",
        )
    )

    assert shop == shop_by_another_login
    assert shop != crew
    assert shop.parent.name == f"slipway-{os.getuid()}"

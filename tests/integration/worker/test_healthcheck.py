"""A worker is unhealthy when a restart could help, and only then; the check connects nowhere."""

from __future__ import annotations

import fcntl
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support.checkout import ROOT

from worker.healthcheck import HeartbeatRecord
from worker.heartbeat import STALLED_AFTER_S, Heartbeat
from worker.liveness import WorkerRegister

Ask = Callable[..., tuple[int, str]]


# -- who leaves marks ---------------------------------------------------------------------------------------------


@dataclass
class Worker:
    """A heartbeat, its clock, and its broker."""

    now_s: float = 1000.0
    broker_answers: bool = True
    questions: int = 0
    marks: list[HeartbeatRecord] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.heartbeat = Heartbeat(self.marks.append, self._ask_broker, clock_s=lambda: self.now_s)

    def _ask_broker(self) -> bool:
        self.questions += 1
        return self.broker_answers

    def leaves_mark_after(self, seconds: float) -> bool:
        self.now_s += seconds
        before = len(self.marks)
        self.heartbeat.beat()
        return len(self.marks) > before


def test_while_the_main_loop_turns_marks_are_left_and_the_broker_is_asked_nothing() -> None:
    worker = Worker()

    for _ in range(5):
        worker.heartbeat.turned()
        assert worker.leaves_mark_after(STALLED_AFTER_S)

    assert worker.questions == 0
    assert worker.marks[-1] == HeartbeatRecord(at_s=worker.now_s, turned_at_s=worker.now_s - STALLED_AFTER_S)


def test_a_main_loop_that_stands_still_though_the_broker_is_there_leaves_no_mark() -> None:
    worker = Worker()
    worker.heartbeat.turned()

    assert not worker.leaves_mark_after(STALLED_AFTER_S + 1)


def test_a_main_loop_that_stands_still_for_want_of_a_broker_leaves_marks_for_as_long_as_that_lasts() -> None:
    worker = Worker(broker_answers=False)
    worker.heartbeat.turned()

    assert all(worker.leaves_mark_after(600) for _ in range(5))
    assert {mark.turned_at_s for mark in worker.marks} == {1000.0}


def test_a_worker_that_finds_no_broker_when_it_starts_is_alive_and_has_never_been_ready() -> None:
    worker = Worker(broker_answers=False)

    assert worker.leaves_mark_after(600)
    assert worker.marks[-1].turned_at_s == float("-inf")


def test_a_worker_that_lets_its_steps_end_is_alive() -> None:
    worker = Worker()
    worker.heartbeat.turned()

    worker.heartbeat.end()

    assert worker.leaves_mark_after(200)


# -- who reads them -----------------------------------------------------------------------------------------------


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / f"slipway-{os.getuid()}" / "a-database"


@pytest.fixture
def register(directory: Path) -> WorkerRegister:
    """Where this process has registered as a worker."""
    register = WorkerRegister(directory)
    register.sign_on(f"host:{os.getpid()}:0a1b2c3d")
    return register


@pytest.fixture(params=["worker.healthcheck", "worker.alive"])
def ask(request: pytest.FixtureRequest, tmp_path: Path) -> Ask:
    """Ask as a health check does, also under the command's former name: returns the exit code and the sentence."""

    def run(*options: str) -> tuple[int, str]:
        command = [sys.executable, "-m", request.param, *options]
        environment = {**os.environ, "TMPDIR": str(tmp_path)}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stderr or done.stdout

    return run


def _leave_mark(
    register: WorkerRegister, *, age_s: float = 0.0, turned_s_ago: float = 0.0, lost_s_ago: float = -math.inf
) -> None:
    now_s = time.monotonic()
    record = HeartbeatRecord(at_s=now_s - age_s, turned_at_s=now_s - turned_s_ago, broker_lost_at_s=now_s - lost_s_ago)
    register.write_heartbeat(record)


@pytest.mark.usefixtures("register")
def test_a_worker_that_has_just_signed_on_is_alive_and_not_ready(ask: Ask) -> None:
    assert ask() == (0, "")
    code, sentence = ask("--ready")
    assert code == 1
    assert sentence.endswith("does not take work.\n")


def test_a_worker_whose_main_loop_turns_is_alive_and_ready(register: WorkerRegister, ask: Ask) -> None:
    _leave_mark(register)

    assert ask() == ask("--ready") == ask("--pid", str(os.getpid())) == (0, "")


def test_a_worker_without_its_broker_is_alive_and_ready_and_the_check_says_since_when(
    register: WorkerRegister, ask: Ask
) -> None:
    _leave_mark(register, lost_s_ago=130)

    code, sentence = ask("--ready")

    assert code == 0
    assert "works without the broker, which has been away for 130 s." in sentence


@pytest.mark.usefixtures("register")
def test_a_mark_of_the_version_before_is_read(directory: Path, ask: Ask) -> None:
    now_s = time.monotonic()
    with next(directory.iterdir()).open("r+") as mark:
        mark.truncate()
        mark.write(f"{now_s:20.3f}{now_s:20.3f}\n")

    assert ask("--ready") == (0, "")


def test_a_worker_that_has_left_no_mark_for_too_long_is_not_alive(register: WorkerRegister, ask: Ask) -> None:
    _leave_mark(register, age_s=130, turned_s_ago=130)

    code, sentence = ask()

    assert code == 1
    assert f"host:{os.getpid()}:0a1b2c3d has written no heartbeat for 130 s" in sentence
    assert ask("--max-age", "200") == (0, "")


@pytest.mark.usefixtures("register")
def test_one_worker_that_hangs_among_others_is_told_and_can_be_asked_about_alone(directory: Path, ask: Ask) -> None:
    hanging = WorkerRegister(directory)
    hanging.sign_on("host:1:4e5f6a7b")
    _leave_mark(hanging, age_s=130)

    assert ask()[0] == ask("--pid", "1")[0] == 1
    assert ask("--pid", str(os.getpid())) == (0, "")


def test_workers_that_have_ended_or_are_about_to_sign_on_are_none(directory: Path, ask: Ask) -> None:
    directory.mkdir(parents=True)
    (directory / "host:1:4e5f6a7b").write_text(str(HeartbeatRecord(at_s=0, turned_at_s=0)))
    with (directory / ".host:2:8c9d0e1f").open("w") as forming:
        fcntl.flock(forming, fcntl.LOCK_EX)

        code, sentence = ask()

    assert code == 1
    assert sentence.startswith("No such worker of this user runs here")


def test_to_ask_loads_nothing_of_a_worker() -> None:
    loaded = "import sys, worker.healthcheck; print(*{name.partition('.')[0] for name in sys.modules})"

    modules = subprocess.run(
        [sys.executable, "-c", loaded], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout

    heavy = {"celery", "kombu", "redis", "sqlalchemy", "pydantic", "requests", "prometheus_client", "structlog"}
    assert heavy & set(modules.split()) == set()

"""Programs that crash are started again, programs that must not run do not, and all of them end when told to."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest
from support.checkout import ROOT
from support.stack import API, APP_WRITES, Stack, processes_of, unused_ports, wait_for

from slipway import Client

NewName = Callable[[str], str]
CELERY = (sys.executable, "-m", "celery", "-A", "worker")
EX_CONFIG = 78
STOP_S = 20.0


@dataclass
class Launched:
    """A `python -m stack up` of its own, up, and what it has printed so far."""

    process: subprocess.Popen[str]
    printed: str

    def found(self, pattern: str) -> str:
        found = re.search(pattern, self.printed)
        assert found, self.printed
        return found[1]


@pytest.fixture
def launched(tmp_path: Path) -> Iterator[Launched]:
    command = (sys.executable, "-m", "stack", "up", "--dir", str(tmp_path), "--port-base", str(unused_ports().api))
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        try:
            yield Launched(process, _until_it_runs(process.stdout))
        finally:
            process.send_signal(signal.SIGTERM)  # SIGKILL would leave its programs running
            process.wait(STOP_S)


def test_a_stack_can_be_operated_and_sigterm_ends_it_with_all_its_processes(launched: Launched, tmp_path: Path) -> None:
    family = _family(launched.process.pid)
    slipway = Client(launched.found(r"export SLIPWAY_URL=(\S+)"))
    slipway.log_in("grace", launched.found(r"The administrator grace has the password (\S+)"))
    status = wait_for("a worker runs", lambda: (shown := slipway.get_status())["workers"] and shown)
    assert (status["problems"], status["is_well"]) == ([], True)
    assert {"api.log", "worker1.log", "harbour.log"} <= {file.name for file in (tmp_path / "logs").iterdir()}
    assert '"event"' not in launched.printed, "lines of the log are in files"
    assert len(family) >= 7  # broker, harbour, API with two processes, worker, Flower; the launcher

    launched.process.send_signal(signal.SIGTERM)
    launched.process.communicate(timeout=STOP_S)

    assert launched.process.returncode == 0
    assert [pid for pid in family if Path(f"/proc/{pid}").exists()] == []
    assert processes_of(tmp_path) == []


def _until_it_runs(stream: IO[str]) -> str:
    """Return what a stack prints until it runs. Fails with it when the stack ends before."""
    printed = ""
    for line in stream:
        printed += line
        if line.startswith("Warnings of the programs follow here."):
            return printed
    pytest.fail(f"it has ended:\n{printed}")


def _family(ancestor: int) -> set[int]:
    """Return the ids of a process and of all that come from it: not each of them names the stack's directory."""
    parents = {int(stat.parent.name): _parent(stat) for stat in Path("/proc").glob("[0-9]*/stat")}
    family = {ancestor}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    return family


def _parent(stat: Path) -> int | None:
    try:
        return int(stat.read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None  # it has ended meanwhile


def test_an_api_that_is_killed_in_the_middle_is_started_again_and_the_job_goes_on(
    stack: Stack, new_name: NewName
) -> None:
    person = stack.person(new_name("ada"))
    project, before = person.make_project(new_name("shop")), stack.harbour.last_call()
    job_id = person.make_app(project, new_name("app"))

    stack.kill(API)
    wait_for("the API is up again", lambda: stack.is_up() or None)
    person.follow(job_id)

    assert stack.harbour.writes(since=before) == APP_WRITES


@pytest.mark.parametrize("command", [("worker",), ("inspect", "ping")])
def test_a_worker_with_wrong_settings_names_all_problems_and_no_value(
    stack: Stack, tmp_path: Path, command: tuple[str, ...]
) -> None:
    wrong = {"GITLAB_URL": "no-address-but-a-secret", "SECRET_KEYS": "too-short", "REDIS_URL": ""}

    ended = _run((*CELERY, *command), {**stack.environment, **wrong}, tmp_path)

    assert ended.returncode == EX_CONFIG
    assert all(name in ended.stderr for name in wrong)
    assert not any(value in ended.stderr for value in wrong.values() if value)


@pytest.mark.parametrize(
    ("revision", "remedy"),
    [
        (None, "run `flask --app api db upgrade`"),
        ("9999", "start the version that brought it there, or a newer one"),
    ],
)
def test_a_worker_does_not_start_on_another_versions_schema(
    stack: Stack, tmp_path: Path, revision: str | None, remedy: str
) -> None:
    file = tmp_path / "another.db"
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY)")
        database.executemany("INSERT INTO alembic_version VALUES (?)", [(revision,)] if revision else [])

    ended = _run((*CELERY, "worker"), {**stack.environment, "DB_URL": f"sqlite:///{file}"}, tmp_path)

    assert ended.returncode == EX_CONFIG
    assert remedy in ended.stderr


def test_a_worker_whose_database_is_away_ends_to_be_started_again(stack: Stack, tmp_path: Path) -> None:
    away = "mysql+pymysql://slipway:canary@127.0.0.1:1/slipway"

    ended = _run((*CELERY, "worker"), {**stack.environment, "DB_URL": away}, tmp_path)

    assert (ended.returncode, "The database does not answer." in ended.stderr) == (1, True), ended.stderr
    assert "canary" not in ended.stderr


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ((sys.executable, "-m", "flask", "--app", "api", "db", "check"), "The schema is current."),
        ((*CELERY, "inspect", "ping"), "pong"),
    ],
)
def test_the_conventional_commands_answer(stack: Stack, tmp_path: Path, command: tuple[str, ...], answer: str) -> None:
    ended = _run(command, stack.environment, tmp_path)

    assert (ended.returncode, answer in ended.stdout) == (0, True), ended.stderr


def _run(command: tuple[str, ...], settings: dict[str, str], place: Path) -> subprocess.CompletedProcess[str]:
    """Run a command where no file of settings lies."""
    environment = {**os.environ, **settings, "PYTHONPATH": str(ROOT), "TMPDIR": str(place)}
    return subprocess.run(command, env=environment, cwd=place, capture_output=True, text=True, timeout=30, check=False)

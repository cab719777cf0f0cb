"""Commands as an operator types them: real processes, the questions they ask, their help, what they say is wrong."""

from __future__ import annotations

import os
import pty
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
from support.api import PASSWORD, Api, open_api
from support.commands import Operator, started
from support.fake_worker import ABSENT
from support.runs import runs
from support.services import free_port
from support.world import Time

from api.cli import GROUPS
from common.config import catalog
from common.database.engine import Database

AT_ONCE = 4
WITHIN_S = 60
INTERRUPTED = 130
LINES = {  # every command, with the code that it ends with here; one of each group first
    "db upgrade": 0,
    "users create-admin hopper --email h@example.com --name Grace --team dev --password-stdin": 0,
    "teams add qa --title Quality --cluster qa": 0,
    "invites create --team dev": 0,
    "keys rotate": 0,
    "jobs prune --older-than 90d --yes": 0,
    "audit prune --older-than 90d --yes": 0,
    "ledger export": 0,
    "db check": 0,
    "db backup -": 0,
    "db verify -": 1,  # nothing comes in
    "db restore -": 1,
    "users list": 0,
    "users grant-admin grace": 0,
    "users revoke-admin linus": 0,
    "users log-out linus": 0,
    "users displaced": 0,
    "users restore gone-nobody": 3,
    "users release gone-nobody": 3,
    "users admit linus": 0,
    "users reset-password linus": 0,
    "users signups": 0,
    "users approve linus": 3,
    "users reject linus --reason unknown": 3,
    "teams list": 0,
    "invites list": 0,
    f"invites revoke {ABSENT}": 3,
    "keys status": 0,
    "jobs stuck": 0,
    f"jobs cancel {ABSENT} --yes": 3,
    "jobs retry --yes": 0,
}
TYPED = runs(len(GROUPS), "SLIPWAY_COMMANDS")  # as processes: each takes two seconds to start
COMMANDS = {f"{name} {command}": each for name, group in GROUPS.items() for command, each in group.commands.items()}


@pytest.fixture
def db_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    """It is about programs: one database is enough."""
    shutil.copy(migrated_sqlite, tmp_path / "slipway.db")
    return f"sqlite:///{tmp_path / 'slipway.db'}"


@pytest.fixture
def api(db_url: str, time: Time) -> Iterator[Api]:
    with open_api(db_url, time) as opened:
        for login in ("grace", "linus"):
            opened.sign_up(login)
            opened.admit(login)
        yield opened


# -- processes ----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("api")
def test_commands_run_as_processes_of_their_own_without_a_broker(db_url: str, tmp_path: Path) -> None:
    own = tmp_path / "catalog.toml"
    own.write_text(catalog.read(None), encoding="utf-8")

    def run(line: str) -> tuple[int, bytes, bytes]:
        with started(db_url, tmp_path, *line.split(), catalog_file=str(own)) as process:
            told = process.communicate(f"{PASSWORD}\n".encode(), timeout=WITHIN_S)
            return process.returncode, *told

    with ThreadPoolExecutor(AT_ONCE) as pool:
        lines = list(LINES)[:TYPED]
        ended = dict(zip(lines, pool.map(run, lines), strict=True))

    assert {line: code for line, (code, _, _) in ended.items()} == {line: LINES[line] for line in lines}, ended
    assert [line for line, (_, out, error) in ended.items() if b"Traceback" in error or PASSWORD.encode() in out] == []


def test_the_lines_above_are_every_command() -> None:
    assert [name for name in COMMANDS if not any(line.startswith(name) for line in LINES)] == []


def test_in_a_terminal_the_password_is_asked_for_twice_and_not_seen(api: Api, db_url: str, tmp_path: Path) -> None:
    line = "users create-admin hopper --email h@example.com --name Grace --team dev"

    ended = _typed(db_url, tmp_path, line, [("Password: ", PASSWORD), ("\nRepeat for confirmation: ", PASSWORD)])

    assert ended.code == 0, ended.told
    assert api.token("hopper")
    assert PASSWORD not in ended.told + ended.seen


@pytest.mark.parametrize(("answer", "code", "state"), [("y", 0, "cancelled"), ("n", INTERRUPTED, "queued")])
def test_in_a_terminal_what_cannot_be_undone_is_asked_for(
    api: Api, db_url: str, tmp_path: Path, answer: str, code: int, state: str
) -> None:
    job_id = api.sign_up("hopper").json["job_id"]

    ended = _typed(db_url, tmp_path, f"jobs cancel {job_id}", [(f"Cancel the job {job_id}? [y/N]:", answer)])

    assert ended.code == code, ended.told
    assert api.visitor.get(f"/api/v1/jobs/{job_id}").json["state"] == state


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What has become of a command: its exit code, what it printed, what its terminal showed."""

    code: int
    told: str
    seen: str


def _typed(db_url: str, place: Path, line: str, answers: list[tuple[str, str]]) -> Ended:
    """Run a command in a terminal, and answer what it asks."""
    ours, theirs = pty.openpty()
    with (
        started(db_url, place, *line.split(), stdin=theirs) as process,
        os.fdopen(ours, "r+b", buffering=0) as keys,
    ):
        os.close(theirs)
        assert process.stderr is not None
        for question, answer in answers:
            assert process.stderr.read(len(question)).decode() == question
            keys.write(f"{answer}\n".encode())
        told = b"".join(process.communicate(timeout=WITHIN_S))
        return Ended(code=process.returncode, told=told.decode(), seen=_rest(ours).decode())


def _rest(terminal: int) -> bytes:
    """Return what the terminal has shown; where its other side is closed, Linux says EIO after that."""
    try:
        return os.read(terminal, 4096)
    except OSError:
        return b""


# -- what is wrong ------------------------------------------------------------------------------------------------


def test_without_a_database_it_says_so_and_ends_with_4(time: Time) -> None:
    with open_api(f"mysql+pymysql://root@127.0.0.1:{free_port()}/slipway", time) as api:
        ended = Operator(api).types("users", "list")

    assert ended.exit_code == 4
    assert ended.stderr.startswith("Error: The database cannot be reached (error 2003: Can't connect to MySQL server")
    assert "Check DB_URL" in ended.stderr


def test_a_schema_that_is_not_current_says_what_to_type_and_ends_with_4(time: Time, tmp_path: Path) -> None:
    with open_api(f"sqlite:///{tmp_path / 'empty.db'}", time) as api:
        ended = Operator(api).types("jobs", "stuck")

    assert ended.exit_code == 4
    assert "flask --app api db upgrade" in ended.stderr


def test_a_database_that_fails_in_the_middle_ends_with_4_and_shows_no_trace(api: Api, db: Database) -> None:
    operator = Operator(api)
    operator.types("keys", "status")
    with db.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE kept_answers")

    ended = operator.types("keys", "status")

    assert (ended.exit_code, ended.stdout) == (4, "")
    assert ended.stderr.startswith("Error: The database failed (")
    assert "kept_answers" in ended.stderr
    assert "DB_URL" not in ended.stderr


# -- help ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_every_option_says_what_it_is_for(name: str) -> None:
    command = COMMANDS[name]

    assert not command.get_short_help_str(limit=64).endswith("...")
    options = [option for option in command.params if isinstance(option, click.Option)]
    assert [option.name for option in options if not (option.help or "").endswith((".", "]", "…"))] == []

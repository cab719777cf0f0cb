"""`slipway` as a program of its own: in a terminal, in a pipe, and interrupted."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.checkout import ROOT
from support.stand_in import JOB_ID, StandIn, event, job_of, ok, standing_in, stream

SLIPWAY = (sys.executable, "-m", "slipway")
TOKEN, PASSWORD = "canary-token-3f1c", "canary-password-77aa"
ME = {"id": "ada", "email": "ada@example.com", "name": "Ada", "team": "dev", "is_admin": False}
ENDS_WITHIN_S = 20
INTERRUPTED, HUNG_UP = 130, 141


@pytest.fixture
def server() -> Iterator[StandIn]:
    with standing_in() as server:
        yield server


@contextmanager
def _started(server: StandIn, home: Path, *arguments: str, stdin: int) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, "SLIPWAY_URL": server.url, "XDG_CONFIG_HOME": str(home), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [*SLIPWAY, *arguments],
        env=environment,
        cwd=home,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # no terminal but the one that it is given
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_in_a_terminal_the_password_is_asked_for_and_not_seen(server: StandIn, tmp_path: Path) -> None:
    server.on("POST", "/login", ok({"token": TOKEN, "expires_at": "2026-01-31T08:00:00Z", "user": ME}, 201))
    ours, theirs = pty.openpty()

    with (
        _started(server, tmp_path, "login", "ada", stdin=theirs) as process,
        os.fdopen(ours, "r+b", buffering=0) as keys,
    ):
        os.close(theirs)
        assert process.stderr is not None
        asked = process.stderr.read(len(b"Password: "))  # its last blank comes once the echo is off
        keys.write(f"{PASSWORD}\n".encode())
        out, error = process.communicate(timeout=ENDS_WITHIN_S)
        seen = _rest(ours)

    assert (process.returncode, asked) == (0, b"Password: ")
    assert server.asked[0].body == {"id": "ada", "password": PASSWORD}
    assert PASSWORD.encode() not in seen + out + error
    assert TOKEN.encode() not in seen + out + error


def _rest(terminal: int) -> bytes:
    """Return what the terminal has shown; where its other side is closed, Linux says EIO after that."""
    try:
        return os.read(terminal, 4096)
    except OSError:
        return b""


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_ctrl_c_ends_the_command_and_says_how_to_follow_again(
    server: StandIn, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    server.on("GET", f"/jobs/{JOB_ID}", ok(job_of("running", 1)), ok(job_of("running", 2)))
    server.on("GET", f"/jobs/{JOB_ID}/events", stream(event(2), is_held=True))

    with _started(server, tmp_path, "jobs", "watch", JOB_ID, *flags, stdin=subprocess.DEVNULL) as process:
        shown = process.stderr if flags else process.stdout
        assert shown is not None
        assert any(b"await_result" in line for line in shown)  # it is following
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=ENDS_WITHIN_S)

    assert process.returncode == INTERRUPTED
    assert f"The job continues. To follow it again: slipway jobs watch {JOB_ID}" in error.decode()
    assert b"Traceback" not in error
    assert not flags or out == b""


def test_a_reader_that_hangs_up_ends_it_without_a_word(server: StandIn, tmp_path: Path) -> None:
    text = "a line of a build\n" * 3000
    server.on(
        "GET", f"/jobs/{JOB_ID}/log", ok({"text": text, "start": 0, "next_start": 1, "more": True, "truncated": False})
    )

    with _started(server, tmp_path, "jobs", "log", JOB_ID, stdin=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"a line of a build\n"
        process.stdout.close()
        assert process.stderr is not None
        error = process.stderr.read()
        process.wait(ENDS_WITHIN_S)

    assert (process.returncode, error) == (HUNG_UP, b"")


def test_words_that_the_terminal_cannot_show_are_no_failure(server: StandIn, tmp_path: Path) -> None:
    server.on("GET", "/me", ok({**ME, "name": "Ådä Łovelace ✓"}))

    ended = _run(server, tmp_path, "me", PYTHONIOENCODING="latin-1")

    assert ended.returncode == 0
    assert ended.stdout.startswith("Ådä ?ovelace ?".encode("latin-1"))


def test_json_is_ascii_whatever_the_terminal_can_show(server: StandIn, tmp_path: Path) -> None:
    server.on("GET", "/me", ok({**ME, "name": "Łovelace"}))

    ended = _run(server, tmp_path, "me", "--json", PYTHONIOENCODING="ascii")

    assert json.loads(ended.stdout)["name"] == "Łovelace"


def _run(server: StandIn, home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    settings = {"SLIPWAY_URL": server.url, "XDG_CONFIG_HOME": str(home), "PYTHONPATH": str(ROOT), **environment}
    command = [*SLIPWAY, *arguments]
    return subprocess.run(
        command, env={**os.environ, **settings}, cwd=home, capture_output=True, timeout=30, check=False
    )

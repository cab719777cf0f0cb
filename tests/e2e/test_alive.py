"""A worker that is stopped is told from one that waits for its broker, and both work again afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from support.checkout import ROOT
from support.stack import BROKER, Stack, wait_for

MAX_AGE_S = 4.0


def _asked(stack: Stack, *options: str) -> int:
    """Return the exit code of a health check of the stack's worker."""
    return _check(stack, *options).returncode


def _said(stack: Stack) -> str:
    return _check(stack).stdout


def _check(stack: Stack, *options: str) -> subprocess.CompletedProcess[str]:
    pid = str(stack.launcher.pid("worker1"))
    command = [sys.executable, "-m", "worker.healthcheck", "--pid", pid, "--max-age", str(MAX_AGE_S), *options]
    environment = {**os.environ, "TMPDIR": str(stack.embedded.root / "tmp")}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False, text=True)


def test_a_worker_that_is_stopped_is_not_alive(stack: Stack) -> None:
    wait_for("it takes work", lambda: _asked(stack, "--ready") == 0 or None)

    stack.signal("worker1", signal.SIGSTOP)
    wait_for("it is missed", lambda: _asked(stack) == 1 or None)
    stack.signal("worker1", signal.SIGCONT)

    wait_for("it is alive again", lambda: _asked(stack) == 0 or None)


def test_a_worker_whose_broker_is_away_is_alive_and_takes_work_and_the_check_says_so(stack: Stack) -> None:
    wait_for("it takes work", lambda: _asked(stack, "--ready") == 0 or None)
    log_before = len(stack.log_of("worker1"))

    stack.launcher.end(BROKER, signal.SIGKILL)
    wait_for("it has noticed", lambda: any("broker_away" in line for line in stack.log_of("worker1")[log_before:]))
    wait_for("the check says so", lambda: "works without the broker" in _said(stack) or None)
    is_ready = _asked(stack, "--ready") == 0
    stack.start_broker()

    assert is_ready
    wait_for("the check says no more", lambda: _said(stack) == "" or None)
    assert _asked(stack, "--ready") == 0

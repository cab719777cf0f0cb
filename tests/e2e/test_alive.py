"""A worker that is stopped is told from one that waits for its broker, and both work again afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from support.checkout import ROOT
from support.stack import BROKER, Stack, wait_for

from worker.heartbeat import STALLED_AFTER_S

MAX_AGE_S = 4.0


def _asked(stack: Stack, *options: str, max_age_s: float = MAX_AGE_S) -> int:
    """Return the exit code of a health check of the stack's worker."""
    pid = str(stack.launcher.pid("worker1"))
    command = [sys.executable, "-m", "worker.healthcheck", "--pid", pid, "--max-age", str(max_age_s), *options]
    environment = {**os.environ, "TMPDIR": str(stack.embedded.root / "tmp")}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False).returncode


def test_a_worker_that_is_stopped_is_not_alive(stack: Stack) -> None:
    wait_for("it takes work", lambda: _asked(stack, "--ready") == 0 or None)

    stack.signal("worker1", signal.SIGSTOP)
    wait_for("it is missed", lambda: _asked(stack) == 1 or None)
    stack.signal("worker1", signal.SIGCONT)

    wait_for("it is alive again", lambda: _asked(stack) == 0 or None)


def test_a_worker_whose_broker_is_away_is_alive_and_not_ready_and_ready_when_it_is_back(stack: Stack) -> None:
    wait_for("it takes work", lambda: _asked(stack, "--ready") == 0 or None)
    missed_after_s = STALLED_AFTER_S + MAX_AGE_S + 1  # if the broker were there

    stack.launcher.end(BROKER, signal.SIGKILL)
    wait_for("it has not taken work for long", lambda: _asked(stack, "--ready", max_age_s=missed_after_s) == 1 or None)
    code = _asked(stack)
    stack.start_broker()

    assert code == 0
    wait_for("it takes work again", lambda: _asked(stack, "--ready") == 0 or None)

"""A worker as a process, beside a world in this one: a real Celery, a database and upstreams that the test sees."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common.config.settings import WorkerSettings
from support.checkout import ROOT
from support.doctor_env import environment_of

POLL_S = 0.05
ENDS_WITHIN_S = 60.0


class WorkerProcess:
    """`lines` is its log. Nothing starts it again when it ends."""

    def __init__(self, settings: WorkerSettings, directory: Path, *options: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._log = directory / "worker.log"
        self.temporary = directory
        environment = {**os.environ, **environment_of(settings), "LOG_FORMAT": "json", "TMPDIR": str(directory)}
        command = [sys.executable, "-m", "celery", "-A", "worker", "worker", *options]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines() if line.startswith("{")]

    @property
    def text(self) -> str:
        return self._log.read_text()

    def events(self, *names: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["event"] in names]

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Stop it, and return its exit code."""
        if self.is_running:
            os.killpg(self.process.pid, number)
        return self.process.wait(ENDS_WITHIN_S)

    def await_true(self, what: str, look: Callable[[], object], *, within_s: float = 60.0) -> None:
        """Return when `look` says so; fail with the worker's log when it does not in time, or the worker has ended."""
        deadline_s = time.monotonic() + within_s
        while not look():
            assert self.is_running, f"the worker has ended:\n{self.text}"
            assert time.monotonic() < deadline_s, f"not within {within_s:.0f} s: {what}\n{self.text[-6000:]}"
            time.sleep(POLL_S)


@contextmanager
def worker_process(settings: WorkerSettings, directory: Path, *options: str) -> Iterator[WorkerProcess]:
    worker = WorkerProcess(settings, directory, *options)
    try:
        yield worker
    finally:
        worker.end(signal.SIGKILL)

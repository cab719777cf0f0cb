"""Several programs run as one: started in order, logged, restarted after a crash, stopped together."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from stack.embedded import StackError

STOP_S = 15.0
RESTART_FIRST_S, RESTART_CAP_S = 0.5, 30.0
NEWER_NAMES = ("ARGOCD_", "ELASTICSEARCH_")  # of settings that the stack gives under their former names
STEADY_S = 60.0  # a program that ran this long is restarted after the first, short pause again
ENDED = "ended with exit code"  # how our own line about a program that ended begins
LAST_LINES = 10  # of a program that does not start, shown with the error
FOR_US_ALONE = 0o077  # the umask of all programs


@dataclass(frozen=True, kw_only=True)
class Program:
    """One child process. The next program starts when `is_ready` returns True. `cwd` None is the current directory.

    `withheld` names what it does not get of the launcher's environment, or of the one that we were started in.
    """

    name: str
    command: Sequence[str]
    is_ready: Callable[[], bool] | None = None
    cwd: Path | None = None
    withheld: frozenset[str] = frozenset()


class Launcher:
    """Keeps programs running between `start` and `stop`; one thread for each program watches it.

    What they write is for their user alone, whatever the umask of the shell.
    """

    def __init__(
        self, environment: Mapping[str, str], log: Callable[[str, str], None], *, steady_s: float = STEADY_S
    ) -> None:
        outer = {name: value for name, value in os.environ.items() if not name.upper().startswith(NEWER_NAMES)}
        self._environment = {**outer, **environment, "PYTHONUNBUFFERED": "1"}
        self._log = log
        self._steady_s = steady_s
        self._ended: set[str] = set()
        self._stopping = threading.Event()
        self._running: dict[str, subprocess.Popen[str]] = {}
        self._last_lines: dict[str, deque[str]] = defaultdict(lambda: deque(maxlen=LAST_LINES))
        self._watchers: list[threading.Thread] = []
        self._lock = threading.Lock()  # nothing is started after `stop` has begun

    def start(self, program: Program, *, ready_within_s: float = 30.0) -> None:
        """Start a program and return when it is ready. Raises StackError."""
        self._ended.discard(program.name)
        self._spawn(program)
        watcher = threading.Thread(target=self._watch, args=(program,), name=program.name, daemon=True)
        watcher.start()
        self._watchers.append(watcher)
        self._await_ready(program, ready_within_s)

    def run_once(
        self,
        name: str,
        command: Sequence[str],
        *,
        cwd: Path | None = None,
        withheld: frozenset[str] = frozenset(),
        typed: str = "",
        accepted: Sequence[int] = (0,),
    ) -> None:
        """Run a command to its end, with `typed` as its input. Raises StackError with its output when it fails.

        `accepted` are the exit codes that are no failure.
        """
        done = subprocess.run(  # noqa: S603 - our own command line
            command,
            env=self._environment_without(withheld),
            cwd=cwd,
            umask=FOR_US_ALONE,
            input=typed,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        for line in (done.stdout + done.stderr).splitlines():
            self._log(name, line)
        if done.returncode not in accepted:
            raise StackError(f"{name} failed with exit code {done.returncode}: {done.stderr.strip()[-500:]}")

    def stop(self) -> None:
        """Stop the programs one by one, last started first; kill those that do not end.

        All at once is not quicker: a worker whose broker stops first does not end.
        """
        with self._lock:
            self._stopping.set()
        deadline = time.monotonic() + STOP_S
        for process in reversed(list(self._running.values())):
            _signal(process, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
            _signal_group(process, signal.SIGKILL)
        for watcher in self._watchers:
            watcher.join(timeout=2)

    def end(self, name: str, number: signal.Signals = signal.SIGTERM) -> None:
        """Stop one program with all its processes; it is not restarted until `start`."""
        self._ended.add(name)
        process = self._running[name]
        _signal_group(process, number)
        process.wait(STOP_S)

    def pid(self, name: str) -> int:
        """Return the process id of a running program."""
        return self._running[name].pid

    def _environment_without(self, withheld: frozenset[str]) -> dict[str, str]:
        return {name: value for name, value in self._environment.items() if name.upper() not in withheld}

    def _spawn(self, program: Program) -> None:
        with self._lock:
            if self._stopping.is_set():
                return
            self._running[program.name] = subprocess.Popen(  # noqa: S603 - our own command lines
                program.command,
                env=self._environment_without(program.withheld),
                cwd=program.cwd,
                umask=FOR_US_ALONE,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,  # Ctrl-C reaches only us; we stop the programs in order
            )

    def _watch(self, program: Program) -> None:
        pause_s = RESTART_FIRST_S
        while True:
            began_s = time.monotonic()
            process = self._running[program.name]
            self._copy_log(program.name, process.stdout)
            code = process.wait()
            if self._stopping.is_set() or program.name in self._ended:
                return
            if time.monotonic() - began_s > self._steady_s:
                pause_s = RESTART_FIRST_S
            ended = f"{ENDED} {code}; restarting it in {pause_s:.1f} s"
            self._last_lines[program.name].append(ended)
            self._log(program.name, ended)
            _signal_group(process, signal.SIGKILL)  # child processes of a killed program
            if self._stopping.wait(pause_s):
                return
            pause_s = min(pause_s * 2, RESTART_CAP_S)
            self._spawn(program)
            if self._running[program.name] is process:
                return  # stopped meanwhile

    def _copy_log(self, name: str, stream: IO[str] | None) -> None:
        assert stream is not None  # noqa: S101 - set in `_spawn`
        with stream:
            for line in stream:
                self._last_lines[name].append(line.rstrip("\n"))
                self._log(name, line.rstrip("\n"))

    def _await_ready(self, program: Program, within_s: float) -> None:
        deadline = time.monotonic() + within_s
        while program.is_ready is not None and not program.is_ready():
            if time.monotonic() > deadline:
                last = "".join(f"\n  {line}" for line in self._last_lines[program.name]) or " none"
                raise StackError(
                    f"{program.name} was not ready within {within_s:.0f} s. Its last lines of output:{last}"
                )
            time.sleep(0.05)


def _signal(process: subprocess.Popen[str], number: signal.Signals) -> None:
    if process.poll() is None:
        process.send_signal(number)


def _signal_group(process: subprocess.Popen[str], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return

"""Health check of the workers on this host: `python -m worker.healthcheck`.

Exit 0: they work; 1: one does not, with a sentence that says why. It reads the heartbeat files that workers write
(`worker/heartbeat.py`), connects nowhere and imports nothing of a worker, because it runs every few seconds. A broker
or a database that is unavailable does not make a worker unhealthy: a restart would not help. While the broker is away,
workers go on without it, and a line on the standard output says so.
"""

from __future__ import annotations

import argparse
import fcntl
import math
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

MAX_AGE_S = 120.0
FORMING = "."  # begins the name of a file that is not locked yet


@dataclass(frozen=True, kw_only=True)
class HeartbeatRecord:
    """The last heartbeat, in seconds of the host's monotonic clock: when written, when the main loop last turned."""

    at_s: float
    turned_at_s: float  # minus infinity: never yet
    broker_lost_at_s: float = math.inf  # since when the broker is away; infinity: it is not

    def __str__(self) -> str:
        times = (self.at_s, self.turned_at_s, self.broker_lost_at_s)
        return "".join(f"{each:20.3f}" for each in times) + "\n"  # of fixed length: it overwrites the one before


def home() -> Path:
    """Return the directory of this user's workers on this host: one directory below it for each database."""
    return Path(tempfile.gettempdir()) / f"slipway-{os.getuid()}"


def is_unlocked(file: Path) -> bool:
    """Say whether the worker whose file it is has ended: the kernel dropped its lock."""
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:  # removed meanwhile
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def read(file: Path) -> HeartbeatRecord:
    """Return a worker's heartbeat; one of the version before does not say whether the broker is away."""
    at_s, turned_at_s, *lost_at_s = map(float, file.read_text().split())
    return HeartbeatRecord(at_s=at_s, turned_at_s=turned_at_s, broker_lost_at_s=min(lost_at_s, default=math.inf))


def living_workers(pid: str = "*") -> list[Path]:
    """Return the files of the workers here that have not ended."""
    files = [file for file in home().glob(f"*/*:{pid}:*") if not file.name.startswith(FORMING)]
    return [file for file in files if not is_unlocked(file)]


def notes(*, pid: str = "*") -> list[str]:
    """Return, for healthy workers, what their operator wants to know."""
    found = [(file.name, read(file).broker_lost_at_s) for file in living_workers(pid)]
    return [
        f"{name} works without the broker, which has been away for {time.monotonic() - lost_at_s:.0f} s."
        for name, lost_at_s in found
        if lost_at_s < math.inf
    ]


def problem(*, max_age_s: float, pid: str = "*", is_to_be_ready: bool = False) -> str:
    """Return what is wrong with the workers here, in a sentence; empty when they are healthy."""
    living = living_workers(pid)
    if not living:
        return f"No such worker of this user runs here: none has registered below {home()}."
    for file in living:
        record, now_s = read(file), time.monotonic()
        if now_s - record.at_s > max_age_s:
            return f"{file.name} has written no heartbeat for {now_s - record.at_s:.0f} s: it hangs, or was stopped."
        if is_to_be_ready and now_s - record.turned_at_s > max_age_s:
            return f"{file.name} is alive, and does not take work."
    return ""


def main() -> int:
    options = _options()
    sentence = problem(max_age_s=options.max_age, pid=options.pid, is_to_be_ready=options.ready)
    if sentence:
        sys.stderr.write(f"{sentence}\n")
    else:
        sys.stdout.writelines(f"{note}\n" for note in notes(pid=options.pid))
    return 1 if sentence else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m worker.healthcheck",
        description="Say whether the workers of this host are alive. Connects nowhere.",
        epilog="Exit 0: they are. 1: one is not, or none is here.",
    )
    parser.add_argument("--ready", action="store_true", help="ask whether they take work, too")
    parser.add_argument("--pid", default="*", help="ask about this process (default: all workers of this user)")
    parser.add_argument(
        "--max-age", type=float, default=MAX_AGE_S, metavar="S", help="oldest heartbeat, in seconds (default: 120)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

"""What the programs of a stack write: a file for each, and in the terminal what somebody has to know."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from slipway.text import plain
from stack.launcher import ENDED

Log = Callable[[str, str], None]  # with a program's name, and a line of it

COLOURS = ("36", "33", "32", "35", "34", "31")
WARNINGS = ("warning", "error", "critical")
LEFT_OUT = {"timestamp", "level", "event", "logger", "pid", "exception"}  # of a line in the terminal
LONGEST = 400  # characters of such a line; the file has all of it


def to_files(directory: Path) -> Log:
    """Return a log that writes a file for each program; those of the start before get the ending `.old`."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    for former in directory.glob("*.log"):
        former.replace(former.with_suffix(".log.old"))
    lock = threading.Lock()

    def log(name: str, line: str) -> None:
        with lock, (directory / f"{name}.log").open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")

    return log


def in_terminal(stream: IO[str] | None = None, *, is_complete: bool = False) -> Log:
    """Return a log that writes warnings and errors as `time program  event  field=value`, coloured in a terminal.

    `is_complete`: it writes every line, as it is.
    """
    shown_in = stream or sys.stdout
    seen: dict[str, str] = {}
    lock = threading.Lock()

    def log(name: str, line: str) -> None:
        text = line if is_complete else _warning_in(line)
        if text is None:
            return
        with lock:
            colour = seen.setdefault(name, COLOURS[len(seen) % len(COLOURS)])
            label = f"\x1b[{colour}m{name:>8}\x1b[0m" if shown_in.isatty() else f"{name:>8}"
            time = "" if is_complete else f"{datetime.now().astimezone():%H:%M:%S} "
            shown_in.write(f"{time}{label} | {text}\n")
            shown_in.flush()

    return log


def both(*logs: Log) -> Log:
    """Return a log that writes each line to all of these."""

    def log(name: str, line: str) -> None:
        for each in logs:
            each(name, line)

    return log


def _warning_in(line: str) -> str | None:
    """Return what a line warns of, None for any other line. Programs that are not ours warn of nothing we act on."""
    if line.startswith(ENDED):
        return line
    try:
        fields = json.loads(line)
    except ValueError:
        return None
    if not isinstance(fields, dict) or fields.get("level") not in WARNINGS:
        return None
    return plain(_readable(fields).replace("\n", " "))[:LONGEST]


def _readable(fields: Mapping[str, Any]) -> str:
    values = [f"{name}={value}" for name, value in fields.items() if name not in LEFT_OUT]
    return "  ".join([f"{fields['level']}: {fields.get('event', '')}", *values])

"""Progress of a running job: a table that is redrawn in a terminal, one line a change elsewhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import IO

from slipway.errors import Document
from slipway.text import plain, time_left

SIGNS = {
    "pending": "·",
    "ready": "·",
    "running": "▸",
    "waiting": "…",
    "retrying": "↻",
    "succeeded": "✓",
    "failed": "✗",
    "skipped": "-",
    "cancelled": "-",
}
NOT_STARTED = ("pending", "ready")
LANE_COLUMNS = 11
DEFAULT_COLUMNS = 80


class Progress:
    """Shows one job; call `show` with each version of it. `stream` None is standard output."""

    def __init__(self, title: str, stream: IO[str] | None = None) -> None:
        self._stream = stream or sys.stdout
        self._drawn = 0
        self._seen: dict[str, str] = {}
        self._stream.write(f"\n{plain(title)}\n")
        self._stream.flush()

    def show(self, job: Document) -> None:
        if self._stream.isatty():
            self._redraw(table(job, width=_columns_of(self._stream)))
        else:
            self._stream.writelines(f"{line}\n" for line in self._change_lines(job))
        self._stream.flush()

    def _redraw(self, lines: list[str]) -> None:
        if self._drawn:
            self._stream.write(f"\x1b[{self._drawn}A")
        self._stream.writelines(f"\x1b[2K{line}\n" for line in lines)
        self._stream.write("\x1b[J")
        self._drawn = len(lines)

    def _change_lines(self, job: Document) -> list[str]:
        lines = [_line(lane["name"], step) for lane, step in self._changed(job)]
        left = time_left(job["progress"].get("remaining"))
        if lines and left:
            lines[-1] += f", {left}"
        return lines

    def _changed(self, job: Document) -> Iterator[tuple[Document, Document]]:
        for lane in job["lanes"]:
            for step in lane["steps"]:
                if step["state"] not in NOT_STARTED and self._seen.get(step["name"]) != step["state"]:
                    self._seen[step["name"]] = step["state"]
                    yield lane, step


def table(job: Document, *, width: int | None = None) -> list[str]:
    """Return the job as lines: its lanes, how far it is, and what it waits for.

    `width`: the columns of a line; None leaves reasons whole.
    """
    lines = [line for lane in job["lanes"] for line in _lane(lane, width or DEFAULT_COLUMNS)]
    left = time_left(job["progress"].get("remaining"))
    done = f"  {job['state']}, {job['progress']['done']} of {job['progress']['total']} steps done"
    lines.append(f"{done}, {left}" if left else done)
    waits = (f"  waiting on {wait['upstream']}{_next_check(wait)}: {wait['reason']}" for wait in job["waiting_on"])
    return lines + [plain(wait).replace("\n", " ")[:width] for wait in waits]


def _next_check(wait: Document) -> str:
    """Return when the upstream is checked next, to the second; empty when that is not known."""
    at = wait.get("next_look_at")
    return f", next check at {datetime.fromisoformat(at).astimezone():%H:%M:%S}" if at else ""


def _line(lane: str, step: Document) -> str:
    why = f"  ({step['reason']})" if step["reason"] else ""
    return plain(f"  {_sign(step)} {lane:<8} {step['name']:<22} {step['state']}{why}")


def _sign(step: Document) -> str:
    return SIGNS.get(step["state"], "?")


def _lane(lane: Document, width: int) -> Iterator[str]:
    """Yield the lane's lines. A line that the terminal wrapped would count as one, and the next redraw would be off."""
    line = f"  {lane['name']:<8} "
    for step in _steps(lane["steps"]):
        if len(line) > LANE_COLUMNS and len(line) + len(step) > width:
            yield line.rstrip()
            line = " " * LANE_COLUMNS
        line += step
    yield line.rstrip()


def _steps(steps: Iterable[Document]) -> Iterator[str]:
    return (plain(f"{_sign(step)} {step['name']}  ") for step in steps)


def _columns_of(stream: IO[str]) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or DEFAULT_COLUMNS
    except OSError:
        return DEFAULT_COLUMNS

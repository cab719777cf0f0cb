"""Text output for operators: columns, times, durations and counts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

UNITS = (("d", 86_400), ("h", 3_600), ("min", 60))


def columns(rows: Sequence[Sequence[object]], *, nothing: str) -> str:
    """Return rows as lines with their cells aligned; `nothing` when there are no rows."""
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)
    return "\n".join(line.rstrip() for line in lines) or nothing


def format_time(at: datetime) -> str:
    """Return a time in UTC, to the second, in a format that options accept."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def format_duration(length: timedelta) -> str:
    """Return a duration in its two largest units: `3 h 12 min`."""
    seconds = max(0, int(length.total_seconds()))
    parts: list[str] = []
    for name, size in UNITS:
        if seconds >= size and len(parts) < 2:
            parts.append(f"{seconds // size} {name}")
            seconds %= size
    return " ".join(parts) or f"{seconds} s"


def number(count: int, one: str, many: str = "") -> str:
    """Return `1 job`, `2,000 jobs`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"

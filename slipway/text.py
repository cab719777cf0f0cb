"""Text for people: plain, because the text of others must not move the cursor or change the colours."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from datetime import datetime

SGR = re.compile(r"\x1b\[[0-9;]*m")  # colours, as builds print them
UNSEEN = ("Cf", "Zl", "Zp")  # other directions, zero width, line ends that no terminal shows
MINUTE_S = 60
MINUTES_FROM_S = 100  # "about 90 s" is still easier to read than "about 2 min"


def plain(text: str) -> str:
    """Return the text without a terminal's control codes, and without what reorders or hides it.

    Line ends and tabs stay.
    """
    return "".join(_harmless(char) for char in SGR.sub("", text.replace("\r\n", "\n")))


def _harmless(char: str) -> str:
    if char in "\n\t":
        return char
    category = unicodedata.category(char)
    return "" if category in UNSEEN else "\N{REPLACEMENT CHARACTER}" if category in ("Cc", "Cs") else char


def time_left(remaining: dict[str, float] | None) -> str:
    """Return `about 12 s left` for a job's `{p50_s, p90_s}`; empty without an estimate."""
    seconds = (remaining or {}).get("p50_s")
    if seconds is None:
        return ""
    if seconds < MINUTES_FROM_S:
        return f"about {max(1, round(seconds))} s left"
    return f"about {round(seconds / MINUTE_S)} min left"


def moment(text: str | None) -> str:
    """Return a time of the server in the local time zone, to the minute; empty for None."""
    return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M") if text else ""


def columns(rows: Sequence[Sequence[object]], *, nothing: str = "Nothing.") -> str:
    """Return rows as lines with their cells aligned; `nothing` when there are no rows."""
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)
    return "\n".join(line.rstrip() for line in lines) or nothing

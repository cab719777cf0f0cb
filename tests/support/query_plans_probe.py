"""Query plans of every statement that our code sends, asked for the moment before it is sent.

What a test asks for itself is left out: the nearest file that is neither a library's nor `common/database/engine.py`
says whose statement it is.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import Connection, Engine, event

from common.database import engine as common_db
from support.checkout import ROOT
from support.plans import Asked, Plan, explain

OURS = tuple(str(ROOT / name) for name in ("api", "worker", "common"))
PASSED_OVER = (str(Path(sqlalchemy.__file__).parent), common_db.__file__)
TIMES = 3  # a statement's way may depend on its parameters
LISTED = re.compile(r"\((?:%\(\w+\)s|\?)(?:, (?:%\(\w+\)s|\?))*\)")  # of IN: one more or less is the same statement
HAS_A_WAY = ("SELECT", "UPDATE", "DELETE", "WITH")


@dataclass(frozen=True, kw_only=True)
class Explained:
    """A statement, its way, and the line of ours that sent it."""

    sql: str
    plan: Plan
    sent_by: str

    def __str__(self) -> str:
        return f"{self.sent_by}\n    {self.sql}\n    {self.plan.text}"


@dataclass
class Listener:
    """Explains each statement of ours when it is first sent, and a few times more."""

    found: list[Explained] = field(default_factory=list)
    _heard: Counter[str] = field(default_factory=Counter)

    def hear(self, connection: Connection, _cursor: Any, sql: str, parameters: Any, _: Any, is_many: bool) -> None:
        if not sql.startswith(HAS_A_WAY) or (sent_by := _sender()) is None:
            return
        statement = " ".join(LISTED.sub("(…)", sql).split())
        self._heard[statement] += 1
        if self._heard[statement] <= TIMES:
            asked = Asked(sql=sql, parameters=parameters[0] if is_many else parameters)
            self.found.append(Explained(sql=statement, plan=explain(connection, asked), sent_by=sent_by))

    @property
    def statements(self) -> set[str]:
        return set(self._heard)


def _sender() -> str | None:
    """Return the file and line of ours that sends a statement, None when it is a test's."""
    frame = sys._getframe(2)  # noqa: SLF001 - past `hear`: the stack of who asks
    while frame.f_back is not None and frame.f_code.co_filename.startswith((__file__, *PASSED_OVER)):
        frame = frame.f_back
    file = frame.f_code.co_filename
    return f"{Path(file).relative_to(ROOT)}:{frame.f_lineno}" if file.startswith(OURS) else None


@contextmanager
def explaining() -> Iterator[Listener]:
    """Listen to every database of this process."""
    listener = Listener()
    event.listen(Engine, "before_cursor_execute", listener.hear)
    try:
        yield listener
    finally:
        event.remove(Engine, "before_cursor_execute", listener.hear)

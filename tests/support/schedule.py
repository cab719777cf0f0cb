"""Check the scheduling columns of every written step, at each commit, against the table of `common/states.py`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, Update, event, select
from sqlalchemy.orm import Session

from common.database.models import Step
from common.states import SCHEDULING_COLUMNS, Presence, StepState

WRITTEN = "ids of written steps"
IDS = ("ended", "begun", "next")  # the parameters of `common/jobs/hot_path.py` that name a step


class Checked:
    """How many committed rows were seen in each state, and what contradicted the table."""

    def __init__(self) -> None:
        self.states: Counter[StepState] = Counter()
        self.wrong: list[str] = []

    def check(self, step: Step) -> None:
        self.states[step.state] += 1
        for column, presence in SCHEDULING_COLUMNS[step.state].items():
            is_set = getattr(step, column) is not None
            if presence is not Presence.MAY and is_set is not (presence is Presence.SET):
                self.wrong.append(f"{step.name} is {step.state.value}, and {column} is {'set' if is_set else 'null'}")
        if SCHEDULING_COLUMNS[step.state]["parked_at"] is Presence.MAY and not (step.nudge_at or step.parked_at):
            self.wrong.append(f"{step.name} is {step.state.value}, and nothing would ever send it")


@contextmanager
def checked_commits() -> Iterator[Checked]:
    """Read back, before each commit of this process, every step that its transaction has written."""
    checked = Checked()

    def note(session: Session, _context: Any) -> None:
        written = [each.id for each in session.new | session.dirty if isinstance(each, Step)]
        session.info.setdefault(WRITTEN, set()).update(written)

    def note_statement(connection: Connection, statement: Any, _many: Any, given: Any, _options: Any) -> None:
        if isinstance(statement, Update) and statement.table is Step.__table__:  # without objects: the hot path
            written = {given[name] for name in IDS if name in given}
            connection.info.setdefault(WRITTEN, set()).update(written)

    def check(session: Session) -> None:
        ids = session.info.pop(WRITTEN, set()) | session.connection().info.pop(WRITTEN, set())
        if ids:
            rows = select(Step).where(Step.id.in_(ids)).execution_options(populate_existing=True)
            for step in session.scalars(rows):
                checked.check(step)

    event.listen(Session, "after_flush", note)
    event.listen(Session, "before_commit", check)
    event.listen(Engine, "before_execute", note_statement)
    try:
        yield checked
    finally:
        event.remove(Session, "after_flush", note)
        event.remove(Session, "before_commit", check)
        event.remove(Engine, "before_execute", note_statement)

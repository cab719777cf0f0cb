"""Rows of ours that a step writes: a worker that has lost its claim changes none.

The methods are those that a step's context and an entry of the ledger have: a new one is tried without a new line,
apart from its arguments and, if it writes, its name.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, select
from support.world import World

from common.database.models import Base, Job, Resource, Step
from common.errors import StepError
from common.jobs import attempts, claims, ledger
from common.jobs.claims import Claim, ClaimLostError
from common.jobs.ledger import Entry
from common.states import JobState
from common.step_outputs import FORK_SOURCE
from worker.context import StepContext

STEP = "fork_source"
REFS = {"upstream": "gitlab", "kind": "project", "ref": "dev/shop"}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "input": {"key": "app"},
    "option": {"key": "image_tag"},
    "output_of": {"key": FORK_SOURCE},
    "find_output_of": {"key": FORK_SOURCE},
    "known_id": REFS,
    "remark": {"reason": "-"},
    "read_earlier": {"upstream": "gitlab", "kind": "project"},
    "keep_image_tag": {"tag": "1.2.3"},
    "pause_s": {"first_s": 1.0, "cap_s": 2.0},
    "keep_console": {"text": "line\n", "after": (0, 0), "upstream_next": 5},
    "console_tail": {"characters": 10},
    "resource": REFS,
    "settle": {"outside_id": "1", "url": None, "found": False},
}
WRITES = {
    *("mark_gone", "keep_image_tag", "release_name", "keep_console"),
    *("Entry.intend", "Entry.settle", "Entry.withdraw", "Entry.finish", "ledger.withdraw"),
}


def _methods(of: type) -> list[str]:
    return [name for name, _ in inspect.getmembers(of) if not name.startswith("_")]


NAMES = [*_methods(StepContext), *(f"Entry.{name}" for name in _methods(Entry)), "ledger.withdraw"]


class StaleWorker:
    """A worker with a claim and an intent in the ledger, which may lose the claim."""

    def __init__(self, world: World, app: str) -> None:
        self.world = world
        self.job = world.make_app(app)
        claim = attempts.claim(world.db, self.job.id, STEP, worker="stale", limits={})
        assert isinstance(claim, Claim), claim
        self.claim = claim
        self.context = StepContext(claim, world.context)
        self.entry = self.context.resource(**REFS)
        self.entry.intend()

    def call(self, name: str) -> None:
        """Call a method; a read may find that there is nothing."""
        if name == "ledger.withdraw":
            ledger.withdraw(self.world.db, self.claim)
            return
        stem = name.removeprefix("Entry.")
        method = getattr(self.entry if name.startswith("Entry.") else self.context, stem, None)
        if not callable(method):
            return  # an attribute, or a property, which was read just now
        arguments = dict(ARGUMENTS.get(stem, {}))
        for argument in {"resource", "at"} & set(inspect.signature(method).parameters):
            arguments[argument] = self.world.time() if argument == "at" else self._row()
        with suppress(StepError, LookupError):
            method(**arguments)

    def _row(self) -> Resource:
        (row,) = self.context.read_earlier("gitlab", "project")
        return row

    def lose(self, how: str) -> None:
        def work(session):  # type: ignore[no-untyped-def] # a closure of a few lines
            row = session.scalars(select(Step).where(Step.job_id == self.job.id, Step.name == STEP)).one()
            if how == "claimed":
                row.claim_token, row.lease_until = "another", self.world.time() + timedelta(seconds=60)
            else:
                session.get_one(Job, self.job.id).state = JobState.CANCELLED

        self.world.db.transaction(work)

    def rows(self) -> dict[str, list[Any]]:
        """Return everything that the database holds."""
        return self.world.db.read(
            lambda session: {
                table.name: sorted(session.execute(select(table)).all(), key=repr)
                for table in Base.metadata.sorted_tables
            }
        )


@contextmanager
def _statements(world: World) -> Iterator[list[str]]:
    """Collect the statements that are sent meanwhile."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement.lstrip())

    engines = {world.db.engine, world.db.read_engine}
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", note)


@pytest.fixture
def new_stale(world: World, new_name: Callable[[str], str]) -> Callable[[], StaleWorker]:
    return lambda: StaleWorker(world, new_name("app"))


def test_what_a_step_writes_is_known(new_stale: Callable[[], StaleWorker]) -> None:
    written = set()
    for name in NAMES:
        stale = new_stale()
        stale.world.time.advance(1)
        with _statements(stale.world) as statements:
            stale.call(name)
        if any(each.startswith(("INSERT", "UPDATE", "DELETE")) for each in statements):
            written.add(name)

    assert written == WRITES


@pytest.mark.parametrize("how", ["claimed", "cancelled"])
def test_a_worker_without_its_claim_changes_no_row(new_stale: Callable[[], StaleWorker], how: str) -> None:
    stale = new_stale()
    stale.lose(how)
    before = stale.rows()

    for name in NAMES:
        stale.world.time.advance(0.1)
        with pytest.raises(ClaimLostError) if name in WRITES else suppress(ClaimLostError):
            stale.call(name)
        assert stale.rows() == before, name


def test_the_fence_of_calls_asks_in_one_statement_without_a_lock(new_stale: Callable[[], StaleWorker]) -> None:
    stale = new_stale()

    with _statements(stale.world) as statements:
        stale.context.require_claim()

    (asked,) = [each for each in statements if not each.startswith("BEGIN")]
    assert asked.startswith("SELECT")
    assert "FOR UPDATE" not in asked


def test_the_fence_of_calls_reads_the_time_after_the_database_has_answered(
    new_stale: Callable[[], StaleWorker], monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = new_stale()
    db = stale.context.worker.db
    read = db.read

    def read_late(work: Any) -> Any:
        stale.world.time.advance(claims.LEASE_S)
        return read(work)

    monkeypatch.setattr(db, "read", read_late)

    with pytest.raises(ClaimLostError):
        stale.context.require_claim()

"""What a step costs: counted exactly, so that no statement, commit or event is added unnoticed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from sqlalchemy import event
from support.world import World

from common import workflows
from common.database.ids import new_id
from common.database.models import Job
from common.jobs import lifecycle
from common.states import JobState
from common.workflows import PATIENT, Lane, StepPlan, Upstream, Workflow

STEPS = 4
OF_ONE_TRANSACTION = 6


@dataclass
class Counted:
    """What was sent to the database meanwhile, apart from the beginnings of transactions."""

    statements: list[str] = field(default_factory=list)
    commits: int = 0

    @property
    def shapes(self) -> list[str]:
        """Each statement as its verb and its table."""
        words = [statement.split() for statement in self.statements]
        return [f"{each[0]} {each[each.index(AFTER[each[0]]) + 1]}" for each in words]


AFTER = {"SELECT": "FROM", "UPDATE": "UPDATE", "INSERT": "INTO"}


@contextmanager
def counting(world: World) -> Iterator[Counted]:
    counted = Counted()

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if not statement.startswith("BEGIN"):
            counted.statements.append(statement)

    def commit(_connection: object) -> None:
        counted.commits += 1

    for name, hear in (("before_cursor_execute", note), ("commit", commit)):
        event.listen(world.db.engine, name, hear)
    try:
        yield counted
    finally:
        for name, hear in (("before_cursor_execute", note), ("commit", commit)):
            event.remove(world.db.engine, name, hear)


def _job_of(world: World, monkeypatch: pytest.MonkeyPatch, upstream: Upstream, count: int = STEPS) -> Job:
    """Accept a job of one lane whose steps do nothing."""
    names = [f"step_{number}" for number in range(count)]
    plans = tuple(StepPlan(name=name, upstream=upstream, retry=PATIENT, repeat="does nothing") for name in names)
    flow = Workflow(name="idle", title="Idle", lanes=(Lane(name="only", steps=plans),))
    monkeypatch.setitem(workflows.WORKFLOWS, flow.name, flow)
    for name in names:
        monkeypatch.setitem(world.steps, f"idle.{name}", lambda _context, _upstreams: {"is_done": True})
    user = world.add_user(f"idle-{new_id()}"[:40])
    return world.db.transaction(
        lambda session: lifecycle.accept(
            session,
            flow,
            now=world.time(),
            subject_id=user.id,
            team_id="dev",
            user_id=user.id,
            request_id="test-request",
            inputs={},
        )
    )


def test_a_step_that_uses_no_upstream_takes_two_transactions_of_at_most_six_statements(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = _job_of(world, monkeypatch, Upstream.SLIPWAY, 1)

    with counting(world) as counted:
        world.runner.run(job.id, "step_0")

    assert counted.shapes == [
        *("SELECT jobs", "UPDATE steps", "INSERT attempts", "UPDATE jobs", "INSERT events"),
        *("SELECT jobs", "UPDATE steps", "UPDATE attempts", "UPDATE jobs", "INSERT events"),
    ]
    assert counted.commits == 2
    assert world.job(job).state is JobState.SUCCEEDED


def test_a_step_of_an_upstream_asks_once_whether_it_is_open_and_takes_a_slot(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = _job_of(world, monkeypatch, Upstream.GITLAB, 1)

    with counting(world) as counted:
        world.runner.run(job.id, "step_0")

    assert counted.shapes == [
        *("SELECT jobs", "SELECT upstreams", "SELECT slots", "UPDATE slots"),
        *("UPDATE steps", "INSERT attempts", "UPDATE jobs", "INSERT events"),
        *("SELECT jobs", "UPDATE steps", "UPDATE slots", "UPDATE attempts", "UPDATE jobs", "INSERT events"),
    ]

"""A worker that has lost its claim: it sends no write any more, and changes no row of ours.

A frozen process wakes anywhere, so the claim is taken away before each write of each step, made from the table of
workflows; and each method with which a step writes to our own database is tried.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from support.step_cases import CASES, Case, Stages
from support.world import World

from common.database.models import Job, Step
from common.states import JobState
from common.workflows import EXTERNAL
from worker import upstreams
from worker.runner import NextAction
from worker.upstreams.http import Deadline

Loss = Callable[[World, Job, str], None]
ANOTHER = "the token of another worker"
ITS_LEASE_S = 60.0
WRITING = [pytest.param(case, id=case.name) for case in CASES]


def _change(world: World, job: Job, step: str, **columns: Any) -> None:
    def work(session):  # type: ignore[no-untyped-def] # a closure of a few lines
        row = session.scalars(select(Step).where(Step.job_id == job.id, Step.name == step)).one()
        for name, value in columns.items():
            setattr(row, name, value)

    world.db.transaction(work)


def _claim_anew(world: World, job: Job, step: str) -> None:
    _change(world, job, step, claim_token=ANOTHER, lease_until=world.time() + timedelta(seconds=ITS_LEASE_S))


def _end_lease(world: World, job: Job, step: str) -> None:
    _change(world, job, step, lease_until=world.time())


def _end_job(world: World, job: Job, _step: str) -> None:
    def work(session):  # type: ignore[no-untyped-def] # a closure of one line
        session.get_one(Job, job.id).state = JobState.CANCELLED

    world.db.transaction(work)


LOSSES: Mapping[str, Loss] = {"lease-over": _end_lease, "job-over": _end_job}


class FrozenWorker:
    """A worker that stands still before one of its calls, counted from 0: until somebody has taken its claim away.

    It stands in its rate limit, as one does that waits for its turn.
    """

    def __init__(self, world: World, job: Job, step: str, *, before: int, loss: Loss) -> None:
        self._world, self._job, self._step = world, job, step
        self._before = before
        self._loss = loss
        self.calls = 0
        connections = upstreams.open_connections(world.settings, dict.fromkeys(EXTERNAL, self._stand_still))
        self.runner = world.runner_named("frozen", upstreams.clients(connections))

    def _stand_still(self, _deadline: Deadline | None) -> None:
        if self.calls == self._before:
            self._loss(self._world, self._job, self._step)
        self.calls += 1


def _writes_in(stages: Stages, case: Case) -> list[int]:
    """Return the places of a step's writes among its calls."""
    return [place for place, call in enumerate(stages.done(case).calls) if call.is_write]


@pytest.fixture
def world(stages: Stages) -> World:
    return stages.world


@pytest.mark.parametrize("case", WRITING)
def test_no_write_leaves_a_worker_whose_claim_was_taken(world: World, stages: Stages, case: Case) -> None:
    places = _writes_in(stages, case)

    for number, place in enumerate(places):
        job = stages.begin(case)
        frozen = FrozenWorker(world, job, case.step.name, before=place, loss=_claim_anew)
        before = world.write_count()

        result = world.run_through(job, case.step.name, runner=frozen.runner)

        assert result.action is NextAction.NOT_OURS, f"after {place} calls: {result}"
        assert frozen.calls == place + 1, "it went on"
        assert world.write_count() - before == number
        assert world.step(job, case.step.name).claim_token == ANOTHER
        _end_lease(world, job, case.step.name)
        assert world.run_through(job, case.step.name).action is NextAction.GO_ON
        assert world.write_count() - before == len(places)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("case", WRITING)
def test_however_a_claim_was_lost_the_first_write_is_not_sent(
    world: World, stages: Stages, case: Case, loss: str
) -> None:
    places = _writes_in(stages, case)
    if not places:
        return
    job = stages.begin(case)
    frozen = FrozenWorker(world, job, case.step.name, before=places[0], loss=LOSSES[loss])
    before = world.write_count()

    result = world.run_through(job, case.step.name, runner=frozen.runner)

    assert result.action is NextAction.NOT_OURS, result
    assert world.write_count() == before

"""Undo leaves the world as it was, and a plan forecasts what a run does: tested in worlds drawn from seeds.

SLIPWAY_RUNS=300 draws three hundred instead of a few. The seed is in the test's name.
"""

from __future__ import annotations

from random import Random

import pytest
from support.operators import Hands
from support.runs import runs
from support.world import World
from support.worlds import Fate, Place, Strangers, live_through, mischief

from common.database.models import Job
from common.jobs.ledger import OF_A_RUN
from common.states import JobState, Provenance, StepState
from worker.dry_run import Forecast

SEEDS = range(runs(20))
pytestmark = pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)  # the upstreams are what differs here
SETTLED = {Forecast.OK, Forecast.ADOPT, Forecast.CREATE, Forecast.CHANGE, Forecast.WAIT}
PROVENANCE = {Forecast.ADOPT: Provenance.ADOPTED, Forecast.CREATE: Provenance.CREATED}


@pytest.mark.parametrize("seed", SEEDS)
def test_an_app_that_was_undone_was_never_there(world: World, seed: int) -> None:
    draw, hands = Random(seed), Hands(world.harbour)
    place = Place(draw, f"undone-{seed}")
    strangers = Strangers(draw, hands, place)
    strangers.settle_in()
    making, undoing = Fate(draw), Fate(draw)
    drawn = f"clashes {strangers.clashes}, making {making}, undoing {undoing}"
    before = world.snapshot()

    made = live_through(world, place.make(world), making)
    undone = live_through(world, world.accept_for(made, "deprovision"), undoing)
    if undone.state is not JobState.SUCCEEDED:
        assert undoing.kind in ("refusal", "outage") or undoing.is_given_up, (drawn, _reasons(world, undone))
        undone = world.drive(world.accept_for(made, "deprovision"))

    assert undone.state is JobState.SUCCEEDED, (drawn, _reasons(world, undone))
    world.end_retention()
    assert world.snapshot() == before, drawn
    if not strangers.clashes:
        again = world.drive(place.make(world, project="second"))
        assert again.state is JobState.SUCCEEDED, (drawn, _reasons(world, again))
        assert world.drive(world.accept_for(again, "deprovision")).state is JobState.SUCCEEDED
        world.end_retention()
        assert world.snapshot() == before, drawn
    strangers.leave()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_plan_forecasts_what_a_run_does(world: World, seed: int) -> None:
    draw, hands = Random(seed), Hands(world.harbour)
    place = Place(draw, f"planned-{seed}")
    strangers = Strangers(draw, hands, place)
    strangers.settle_in()
    made = place.make(world)
    with mischief(draw, world.harbour, place) as missing:
        before, writes = world.snapshot(), world.write_count()

        plan = world.drive(world.accept_for(made, "plan"))

        assert (world.write_count(), world.snapshot()) == (writes, before)
        world.drive(made)
    output = world.step(plan, "foresee_app").output
    assert output is not None, _reasons(world, plan)
    drawn = f"clashes {strangers.clashes}, missing {missing}, {_reasons(world, made)}"
    assert [one for one in output["steps"] if not _agrees(world, made, one["step"], Forecast(one["verdict"]))] == [], (
        drawn
    )
    assert output["possible"] is (world.job(made).state is JobState.SUCCEEDED)
    strangers.leave()


def _agrees(world: World, made: Job, name: str, verdict: Forecast) -> bool:
    """Say whether the step did what was foreseen."""
    row = world.step(made, name)
    entries = [entry for entry in world.ledger(made) if entry.step == name and entry.kind not in OF_A_RUN]
    provenances = {entry.provenance for entry in entries}
    if verdict in PROVENANCE:
        return row.state is StepState.SUCCEEDED and provenances == {PROVENANCE[verdict]}
    if verdict in SETTLED:
        return row.state is StepState.SUCCEEDED and not provenances
    if verdict is Forecast.NOT_REACHED:
        return row.state is StepState.PENDING and not row.attempts
    return row.state is StepState.FAILED and row.code == ("conflict" if verdict is Forecast.CONFLICT else "rejected")


def _reasons(world: World, job: Job) -> list[tuple[str, str, str | None]]:
    return [(step.name, step.state.value, step.reason) for step in world.step_rows(job)]

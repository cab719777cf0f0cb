"""The scheduling columns of a step are set as its state requires, in whatever world its job runs, on both databases."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from sqlalchemy.orm import Session
from support.operators import Hands
from support.runs import runs
from support.schedule import checked_commits
from support.world import World
from support.worlds import Fate, Place, Strangers, live_through

from common.admission import outages
from common.database.models import Job
from common.errors import NotYet
from common.jobs import attempts, interventions
from common.states import SCHEDULING_COLUMNS, StepState
from common.workflows import Upstream
from harbour.faults import Fault
from worker.context import StepContext
from worker.runner import Runner
from worker.upstreams import Upstreams


def test_the_table_has_every_state_and_the_same_columns_for_each() -> None:
    assert set(SCHEDULING_COLUMNS) == set(StepState)
    assert len({frozenset(columns) for columns in SCHEDULING_COLUMNS.values()}) == 1


@pytest.mark.parametrize("seed", range(runs(5)))
def test_an_app_in_a_world_drawn_from_a_seed(world: World, seed: int) -> None:
    draw, hands = Random(seed), Hands(world.harbour)
    place = Place(draw, f"scheduled-{seed}-{'sqlite' if world.db.is_sqlite else 'mariadb'}")
    strangers = Strangers(draw, hands, place)
    strangers.settle_in()

    with checked_commits() as checked:
        made = live_through(world, place.make(world), Fate(draw))
        live_through(world, world.accept_for(made, "deprovision"), Fate(draw))

    assert checked.wrong == []
    assert checked.states[StepState.RUNNING] > 0
    strangers.leave()


def test_every_state_that_interventions_and_outages_lead_to(world: World, new_name: Callable[[str], str]) -> None:
    with checked_commits() as checked:
        _skip_what_failed(world, world.sign_up(new_name("skipped")))
        _retry_what_failed(world, world.sign_up(new_name("retried")))
        _cancel_amid_holds(world, world.make_app(new_name("cancelled")))
        _lose_a_worker(world, world.sign_up(new_name("lost")))

    assert checked.wrong == []
    assert set(checked.states) == set(StepState)


def _skip_what_failed(world: World, job: Job) -> None:
    world.drive(job, until="join_gitlab_group")
    _refuse(world, job, "join_gitlab_group")
    _change(
        world, lambda session: interventions.skip(session, job.id, "join_gitlab_group", reason="x", now=world.time())
    )


def _retry_what_failed(world: World, job: Job) -> None:
    world.drive(job, until="join_gitlab_group")
    _refuse(world, job, "join_gitlab_group")
    _change(world, lambda session: interventions.retry(session, job.id, world.time()))
    world.harbour.gitlab.inject(Fault(kind="status", status=503, times=1))
    world.drive(job)


def _cancel_amid_holds(world: World, job: Job) -> None:
    """Its upstream is paused while one lane tries again and the other one waits."""
    for step in ("fork_source", "fork_helm"):
        world.run_through(job, step)
    world.harbour.gitlab.inject(Fault(kind="status", status=503, times=1))
    world.runner.run(job.id, "await_source")
    _runner_that_waits(world, "provision.await_helm").run(job.id, "await_helm")
    _pause(world, Upstream.GITLAB)
    world.time.advance(3600)
    for step in ("await_source", "await_helm"):
        world.runner.run(job.id, step)
        assert world.step(job, step).parked_at is not None
    _change(world, lambda session: interventions.cancel(session, job.id, world.time()))
    outages.resume(world.db, Upstream.GITLAB, world.time())


def _runner_that_waits(world: World, task: str) -> Runner:
    def wait(_job: StepContext, _upstreams: Upstreams) -> dict[str, object]:
        raise NotYet("not ready")

    return Runner(world.context, world.clients, {task: wait}, world.limits, worker="patient")


def _lose_a_worker(world: World, job: Job) -> None:
    """The lease runs out: another worker takes over, or finds that the upstream takes nothing now."""
    for step in ("create_gitlab_user", "create_jenkins_user"):
        attempts.claim(world.db, job.id, step, worker="mortal", limits=world.limits)
    _pause(world, Upstream.JENKINS)
    world.time.advance(3600)
    for step in ("create_gitlab_user", "create_jenkins_user"):
        world.runner.run(job.id, step)
    outages.resume(world.db, Upstream.JENKINS, world.time())
    world.drive(job)


def _refuse(world: World, job: Job, step: str) -> None:
    world.harbour.gitlab.inject(Fault(kind="status", status=422, times=1))
    world.runner.run(job.id, step)
    world.harbour.clear_faults()
    assert world.step(job, step).state is StepState.FAILED


def _pause(world: World, upstream: Upstream) -> None:
    outages.pause(world.db, upstream, by="t", reason="r", now=world.time())


def _change(world: World, work: Callable[[Session], object]) -> None:
    world.db.transaction(work)

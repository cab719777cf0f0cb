"""Waiting holds nothing: what hundreds of running builds cost a worker of four slots.

`SLIPWAY_BUILDS=500 pytest -s tests/integration/worker/test_waiting.py` prints the figures.
"""

from __future__ import annotations

import sys
import time as clock
from collections.abc import Callable, Iterator
from math import ceil
from statistics import median

import pytest
from support.builds import Plant, pace, paced
from support.runs import runs
from support.workers import Workers, counted_statements
from support.world import World

from common.database.models import Job
from common.jobs import dispatch, lane_messages
from common.states import OPEN, JobState, StepState

pytestmark = pytest.mark.one_database  # fifty apps are made for each test

BUILDS = runs(50, "SLIPWAY_BUILDS")  # each of an app of its own: those of one app wait for each other
SLOTS = 4
BUILD_S = 1800.0
LONG_S = 300  # a wait of this length is polled at the longest pause
PAUSE_S = 30
MEASURED_S = 60
SIGN_UPS = 5


@pytest.fixture
def plants(world: World, new_name: Callable[[str], str]) -> Iterator[list[Plant]]:
    with paced(world.harbour.jenkins):
        world.harbour.jenkins.executors = BUILDS
        pace(world.harbour.jenkins, build_s=BUILD_S)
        yield [Plant(world, new_name("mill")) for _ in range(BUILDS)]
        world.time.advance(BUILD_S)  # the executors are free again


@pytest.fixture
def workers(world: World) -> Iterator[Workers]:
    workers = Workers(world, slots=SLOTS)
    yield workers
    workers.close()


def _start_builds(world: World, plants: list[Plant], workers: Workers) -> list[Job]:
    """Start the builds, and let a while pass: all of them run and nothing else is to be done."""
    accepted = [plant.accept() for plant in plants]
    for job in accepted:
        workers.send(lane_messages.of_new_job(job))
    workers.pause(600)
    workers.pass_s(5)
    world.time.advance(LONG_S)
    for _ in range(PAUSE_S):  # spread what is due at once over the seconds of a pause
        workers.send(dispatch.take_due(world.db, limit=ceil(BUILDS / PAUSE_S)))
        workers.pause(60)
        world.time.advance(1)
    states = [world.step(job, "await_result").state for job in accepted]
    assert states == [StepState.WAITING] * BUILDS
    return accepted


def _tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def test_running_builds_hold_no_slot_and_ask_little(world: World, plants: list[Plant], workers: Workers) -> None:
    accepted = _start_builds(world, plants, workers)
    services = world.harbour.services
    calls, polls = sum(len(each.calls) for each in services), workers.runs["build"]
    busy_s, computing_s = workers.busy_s, workers.computing_s
    assert workers.held == 0

    with counted_statements(world.db) as statements:
        workers.pass_s(MEASURED_S)

    minutes = MEASURED_S / 60
    polls = workers.runs["build"] - polls
    calls = sum(len(each.calls) for each in services) - calls
    busy_slots, computing = (workers.busy_s - busy_s) / MEASURED_S, (workers.computing_s - computing_s) / MEASURED_S
    _tell(
        f"{BUILDS} builds wait: {busy_slots:.3f} of {SLOTS} slots busy, {computing:.3f} of a processor; a minute has "
        f"{polls / minutes:.0f} polls, {calls / minutes:.0f} calls, {len(statements) / minutes:.0f} statements"
    )
    assert polls == BUILDS * MEASURED_S / PAUSE_S, "each polls twice a minute"
    assert calls == 3 * polls
    assert len(statements) <= 40 * polls + 10 * MEASURED_S
    assert workers.held == 0
    world.time.advance(BUILD_S)
    workers.run_due()
    assert {world.job(job).state for job in accepted} == {JobState.SUCCEEDED}
    assert {plant.started(job) for plant, job in zip(plants, accepted, strict=True)} == {1}


def _sign_up(world: World, workers: Workers, login: str) -> float:
    """Sign a person up while time goes by as it really does; return the seconds that it took."""
    job = world.sign_up(login)
    began_s = last_s = clock.perf_counter()
    workers.send(lane_messages.of_new_job(job))
    while world.job(job).state in OPEN:
        workers.pause(0.02)
        now_s = clock.perf_counter()
        world.time.advance(now_s - last_s)
        last_s = now_s
        workers.tick()
    assert world.job(job).state is JobState.SUCCEEDED
    return clock.perf_counter() - began_s


def test_other_jobs_go_on_while_builds_run(
    world: World, plants: list[Plant], workers: Workers, new_name: Callable[[str], str]
) -> None:
    alone = [_sign_up(world, workers, new_name("alone")) for _ in range(SIGN_UPS)]
    _start_builds(world, plants, workers)
    beside = [_sign_up(world, workers, new_name("beside")) for _ in range(SIGN_UPS)]

    ratio = median(beside) / median(alone)
    _tell(f"a sign-up takes {median(alone):.3f} s alone, {median(beside):.3f} s beside {BUILDS} builds: {ratio:.2f}")

    job = world.sign_up(new_name("same-moment"))
    workers.send(world.db.read(lambda session: lane_messages.of_resumed_job(session, job)))  # on the plan it has
    workers.pause(60)
    assert world.job(job).state is JobState.SUCCEEDED  # and no time has passed: no lane waited for a slot

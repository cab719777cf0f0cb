"""Runs of the simulation that every test run plays: some of each case, and those that found a fault once.

`make simulate` plays all single faults, and ranges of seeds (`tests/simulation/__main__.py`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from support.step_cases import CASES

from common.jobs.ledger import Entry
from common.workflows import WORKFLOWS, Upstream, task_name
from simulation import modes, site
from simulation.faults import POSSIBLE, PointKind
from simulation.plans import Quiet
from simulation.scenes import Run, Stage
from worker.leases import LeaseRenewal
from worker.upstreams.jenkins.builds import Builds, BuildSearch

SINGLES, PAIRS, INTERLEAVINGS = 2, 1, 1  # of each case
PINNED = [
    line.split()
    for line in Path(__file__).with_name("pinned.txt").read_text().splitlines()
    if line and not line.startswith("#")
]
SEED = int(os.environ.get("SLIPWAY_SEED", "1"))


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with site.opened() as opened:
        yield Stage(opened)


def require_nothing_wrong(mode: str, name: str, run: Run) -> None:
    again = f"PYTHONPATH=.:tests python -m simulation {mode} {run.scene.name} {name}"
    assert not run.violations, f"{run}\n  play it again: {again}"


def test_every_step_of_every_workflow_has_a_scene_in_which_it_meets_faults(stage: Stage) -> None:
    wanted = {task_name(flow.name, step.name) for flow in WORKFLOWS.values() for step in flow.steps}

    assert wanted <= {case.name for case in CASES}
    for case in CASES:
        kinds = {point.kind for point in stage.scene(case.name).points}
        assert PointKind.COMMIT in kinds, case.name
        if case.step.upstream is not Upstream.SLIPWAY or case.flow.name in ("drift", "plan"):
            assert kinds & {PointKind.READ, PointKind.WRITE}, case.name


@pytest.mark.parametrize("scene_name", modes.NAMES)
def test_what_meets_faults_ends_as_if_nothing_had_happened(stage: Stage, scene_name: str) -> None:
    scene, draw = stage.scene(scene_name), Random(f"{scene_name} {SEED}")
    calls = [point for point in scene.points if point.kind in (PointKind.WRITE, PointKind.COMMIT)]
    for point in draw.choices(calls, k=SINGLES // 2) + draw.choices(scene.points, k=SINGLES // 2):
        name = f"{point.number}:{draw.choice(POSSIBLE[point.kind]).name.lower()}"
        require_nothing_wrong("single", name, modes.single(stage, scene, name))
    for seed in draw.sample(range(10**6), PAIRS):
        require_nothing_wrong("pair", str(seed), modes.pair(stage, seed, scene_name))
    for seed in draw.sample(range(10**6), INTERLEAVINGS):
        require_nothing_wrong("interleaving", str(seed), modes.interleaving(stage, seed, scene_name))


@pytest.mark.parametrize("pinned", PINNED, ids=" ".join)
def test_what_found_a_fault_once_finds_none_any_more(stage: Stage, pinned: list[str]) -> None:
    mode, scene, name = pinned

    require_nothing_wrong(mode, name, modes.play(stage, mode, scene, name))


def test_the_same_seed_is_the_same_run(stage: Stage) -> None:
    first, second = (modes.interleaving(stage, 7, "provision") for _ in range(2))

    assert [str(point) for point in first.points] == [str(point) for point in second.points]
    assert first.faults == second.faults


def played_at_the_first_write(stage: Stage, scene_name: str, fault: str) -> Run:
    scene = stage.scene(scene_name)
    write = next(point for point in stage.play(scene, Quiet()).points if point.kind is PointKind.WRITE)
    return modes.single(stage, scene, f"{write.number}:{fault}")


def test_a_step_that_does_not_look_before_it_writes_is_found(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.scene("build.start_build")
    monkeypatch.setattr(Builds, "find", lambda *_, **__: BuildSearch())

    run = played_at_the_first_write(stage, "build.start_build", "no_answer")

    assert any("builds" in violation for violation in run.violations), run


def test_a_step_that_does_not_wait_for_a_late_call_is_found(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.scene("build.start_build")
    monkeypatch.setattr(Entry, "may_arrive_for_s", lambda _: 0.0)

    run = played_at_the_first_write(stage, "build.start_build", "late")

    assert any("builds" in violation for violation in run.violations), run


def test_a_worker_that_renews_no_lease_is_found(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.scene("signup.create_gitlab_user")
    monkeypatch.setattr(LeaseRenewal, "renew", lambda _: None)

    run = played_at_the_first_write(stage, "signup.create_gitlab_user", "slow")

    assert any("said to be lost" in violation for violation in run.violations), run

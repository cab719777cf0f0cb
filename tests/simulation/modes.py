"""The three kinds of runs: every single fault, pairs of faults, interleavings of three workers."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from support.step_cases import CASES, Case

from simulation.faults import POSSIBLE
from simulation.plans import Chance, Given
from simulation.scenes import Run, Scene, Stage

BY_NAME = {case.name: case for case in CASES}
FAR = 40  # points between two faults, at most


def case_of(seed: int) -> Case:
    """Return whose turn it is with this seed."""
    return CASES[seed % len(CASES)]


def singles(stage: Stage, case: Case) -> Iterator[tuple[str, Run]]:
    """Play every fault that is possible at every point of the run in which nothing happens."""
    scene = stage.scene(case)
    for point in scene.points:
        for fault in POSSIBLE[point.kind]:
            name = f"{point.number}:{fault.name.lower()}"
            yield name, single(stage, scene, name)


def single(stage: Stage, scene: Scene, name: str) -> Run:
    """Play one of them again, by its name."""
    number, _, fault = name.partition(":")
    kinds = {kind.name.lower(): kind for kinds in POSSIBLE.values() for kind in kinds}
    return stage.play(scene, Given({int(number): kinds[fault]}, f"{scene.case.name} {name}"))


def pair(stage: Stage, seed: int, case: Case | None = None) -> Run:
    """Play two faults, or now and then three, at points that the seed draws, the later ones soon after the first."""
    scene = stage.scene(case or case_of(seed))
    draw = Random(f"pair {scene.case.name} {seed}")
    first = draw.randrange(len(scene.points))
    points = {first: None, first + draw.randint(1, FAR): None}
    if draw.random() < 0.2:
        points[max(points) + draw.randint(1, FAR)] = None
    return stage.play(scene, Given(points, f"faults of pair {scene.case.name} {seed}"))


def interleaving(stage: Stage, seed: int, case: Case | None = None) -> Run:
    """Play three workers that switch at any point, and what may happen to them."""
    scene = stage.scene(case or case_of(seed))
    return stage.play(scene, Chance(f"interleaving {scene.case.name} {seed}"))


def play(stage: Stage, mode: str, of: Case, name: str) -> Run:
    """Play a run by its mode, case and name or seed."""
    match mode:
        case "single":
            return single(stage, stage.scene(of), name)
        case "pair":
            return pair(stage, int(name), of)
        case "interleaving":
            return interleaving(stage, int(name), of)
    raise ValueError(mode)

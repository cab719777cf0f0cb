"""The three kinds of runs: every single fault, pairs of faults, interleavings of three workers."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from simulation.faults import POSSIBLE, FaultKind
from simulation.plans import Chance, Given
from simulation.scenes import JOBS, STEPS, Run, Scene, Stage

NAMES = [*STEPS, *JOBS]
FAR = 40  # points between two faults, at most


def name_of(seed: int) -> str:
    """Return whose turn it is with this seed: a whole job's in one of forty, it takes as long as several steps."""
    return JOBS[seed // 40 % len(JOBS)] if seed % 40 == 0 else list(STEPS)[seed % len(STEPS)]


def singles(stage: Stage, name: str) -> Iterator[tuple[str, Run]]:
    """Play every fault that is possible at every point of the run in which nothing happens."""
    scene = stage.scene(name)
    for point in scene.points:
        for fault in POSSIBLE[point.kind]:
            what = f"{point.number}:{fault.name.lower()}"
            yield what, single(stage, scene, what)


def single(stage: Stage, scene: Scene, what: str) -> Run:
    """Play one of them again: the number of a point, and a fault."""
    number, _, fault = what.partition(":")
    return stage.play(scene, Given({int(number): FaultKind[fault.upper()]}, f"{scene.name} {what}"))


def pair(stage: Stage, seed: int, name: str = "") -> Run:
    """Play two faults, or now and then three, at points that the seed draws, the later ones soon after the first."""
    scene = stage.scene(name or name_of(seed))
    draw = Random(f"pair {scene.name} {seed}")
    first = draw.randrange(len(scene.points))
    points = {first: None, first + draw.randint(1, FAR): None}
    if draw.random() < 0.2:
        points[max(points) + draw.randint(1, FAR)] = None
    return stage.play(scene, Given(points, f"faults of pair {scene.name} {seed}"))


def interleaving(stage: Stage, seed: int, name: str = "") -> Run:
    """Play three workers that switch at any point, and what may happen to them."""
    scene = stage.scene(name or name_of(seed))
    return stage.play(scene, Chance(f"interleaving {scene.name} {seed}"))


def play(stage: Stage, mode: str, name: str, what: str) -> Run:
    """Play a run by its mode, its scene, and its point and fault or its seed."""
    match mode:
        case "single":
            return single(stage, stage.scene(name), what)
        case "pair":
            return pair(stage, int(what), name)
        case "interleaving":
            return interleaving(stage, int(what), name)
    raise ValueError(mode)

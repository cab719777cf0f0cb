"""Which calls a run holds for which fault: in full every one of them, in short at least one of every step.

In both, a fault that meets whoever is at work meets every step of the workflow table: a fault of one worker misses the
steps that others run.
"""

from __future__ import annotations

import os
import random
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence

from common.workflows import WORKFLOWS
from support.chaos.faults import FAULTS, Fault, Party
from support.chaos.points import Moment, Point

AT_ONCE = 24  # points of one round
SOME = 12  # of a round of the short run that has no step to itself
SEED = 13
MEETS_ALL = next(fault for fault in FAULTS if fault.name == "database killed")

Round = tuple[Fault, Sequence[Point], Moment]
Step = tuple[str, str]  # its workflow and its name


def short(points: Sequence[Point]) -> Iterator[Round]:
    """Yield one round for each quick fault. The first ones meet everybody, and hold every step."""
    chance, by_step = random.Random(SEED), _by_step(points)
    steps = sorted(by_step, key=lambda step: (by_step[step][0].depth, step))  # those of a round come at about one time
    parts = [steps[start : start + AT_ONCE] for start in range(0, len(steps), AT_ONCE)]
    chosen = _chosen([fault for fault in FAULTS if fault.is_quick])
    faults = sorted(chosen, key=lambda fault: fault.party is Party.WORKER)
    for number, fault in enumerate(faults):
        moment = tuple(Moment)[number % len(Moment)]
        part = parts[number] if number < len(parts) else chance.sample(steps, SOME)
        yield fault, [chance.choice(_at(moment, by_step[step])) for step in part], moment


def whole(points: Sequence[Point]) -> Iterator[Round]:
    """Yield rounds in which every kill point meets every fault of a worker, and every step each other fault."""
    chance = random.Random(SEED)
    for fault in _chosen(FAULTS):
        for moment in Moment:
            of = [point for point in points if point.moment is moment]
            if fault.party is not Party.WORKER:
                chance.shuffle(of)
                of = list({(point.kind, point.step): point for point in of}.values())
            of.sort(key=lambda point: point.depth)
            yield from ((fault, of[start : start + AT_ONCE], moment) for start in range(0, len(of), AT_ONCE))


def catch_up(points: Sequence[Point], missing: Collection[Step]) -> Round:
    """Return a round that holds the first calls of these steps, of as many as go into it."""
    firsts = {step: of[0] for step, of in _by_step(points).items() if step in missing}
    one_each = sorted(firsts.values(), key=lambda point: point.depth)
    return MEETS_ALL, one_each[:AT_ONCE], Moment.BEFORE


def without(covered: Iterable[Point]) -> set[Step]:
    """Return the steps of the table that have none of these points."""
    everything = {(flow.name, step.name) for flow in WORKFLOWS.values() for step in flow.steps}
    return everything - {(point.kind, point.step) for point in covered}


def _chosen(faults: Sequence[Fault]) -> Sequence[Fault]:
    """Return these faults, or instead those with a word of `SLIPWAY_CHAOS_FAULTS=killed,hung` in their names."""
    words = os.environ.get("SLIPWAY_CHAOS_FAULTS", "")
    return [fault for fault in FAULTS if any(word in fault.name for word in words.split(","))] if words else faults


def _by_step(points: Iterable[Point]) -> dict[Step, list[Point]]:
    by_step: dict[Step, list[Point]] = defaultdict(list)
    for point in points:
        by_step[point.kind, point.step].append(point)
    return by_step


def _at(moment: Moment, points: Sequence[Point]) -> Sequence[Point]:
    """Return the points that have this moment, or all: a step that only reads has no other moment than before.

    Left to the full run is what is awaited: that takes 95 s.
    """
    quick = [point for point in points if not point.is_awaited]
    return [point for point in quick if point.moment is moment] or quick

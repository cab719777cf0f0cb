"""Every step, held at its calls, meets every fault: its job goes on by itself, nothing is lost, nothing is done twice.

The kill points come from a rehearsal of every workflow of the table, so a new step is in here without a further line.
"""

from __future__ import annotations

import os
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence

from support.chaos import figures
from support.chaos.faults import FAULTS, Fault, Party
from support.chaos.installation import BIG, Installation
from support.chaos.ledger import differences
from support.chaos.points import Moment, Point, rehearse
from support.chaos.rounds import Outcome, Rounds
from support.chaos.scenarios import Scenarios

from common.workflows import WORKFLOWS

AT_ONCE = 24  # points of one round
RESUMED_S = 10.0  # of 95 in a hundred, after a worker is gone; longer by as much as a machine takes for a job
SEED = 13
MEETS_ALL = next(fault for fault in FAULTS if fault.name == "database killed")  # whoever is at work on the step
MORE_ROUNDS = 8  # for steps that no round has reached yet


def test_every_step_survives_every_fault_at_its_calls(installation: Installation, is_quick: bool) -> None:
    scenarios = Scenarios(installation)
    scenarios.prepare()
    rehearsal = rehearse(scenarios)
    assert rehearsal.uncovered() == []
    rounds = Rounds(installation, scenarios, rehearsal, victim=BIG)
    outcomes = [
        rounds.run(fault, points, moment)
        for fault, points, moment in (_short if is_quick else _whole)(rehearsal.points())
    ]
    outcomes += _catch_up(rounds, rehearsal.points(), outcomes)

    resumed_s = [s for o in outcomes if o.fault in ("host lost", "worker killed") for s in o.resumed_s]
    problems = [f"{outcome.fault}, {outcome.moment}: {problem}" for outcome in outcomes for problem in outcome.problems]
    problems += differences(installation)
    cases = [case for outcome in outcomes for case in outcome.cases]
    p95_s = figures.quantile(resumed_s, 0.95)
    figures.report(
        "steps-quick" if is_quick else "steps",
        f"{figures.resume_table(outcomes)}\n{len(cases)} cases, {len({case.point for case in cases})} kill points, "
        f"{len(problems)} problems; resumed after a lost worker: p95 {p95_s:.1f} s",
        cases=len(cases),
        points=len({case.point for case in cases}),
        steps=len({(case.point.kind, case.point.step) for case in cases}),
        problems=problems,
        resumed_s={
            fault: [round(s, 2) for o in outcomes if o.fault == fault for s in o.resumed_s]
            for fault in dict.fromkeys(o.fault for o in outcomes)
        },
        rounds=[(o.fault, o.moment, len(o.cases), round(o.settled_s, 1)) for o in outcomes],
        bystanders_s=[round(s, 2) for o in outcomes for s in o.bystanders_s],
    )
    assert problems == []
    assert p95_s < RESUMED_S + rounds.usual_s()
    assert _steps_without(outcomes) == set()
    installation.is_well = True


def _short(points: Sequence[Point]) -> Iterator[tuple[Fault, Sequence[Point], Moment]]:
    """Yield one round for each quick fault; together they hold a call of most steps."""
    chance, faults = random.Random(SEED), [fault for fault in FAULTS if fault.is_quick]
    by_step: dict[tuple[str, str], list[Point]] = defaultdict(list)
    for point in points:
        by_step[point.kind, point.step].append(point)
    steps = sorted(by_step, key=lambda step: (by_step[step][0].depth, chance.random()))
    for number, fault in enumerate(faults):
        moment = tuple(Moment)[number % len(Moment)]
        first = number * len(steps) // len(faults)
        turn = [*steps[first:], *steps[:first]]
        usable = [[point for point in by_step[step] if point.moment is moment] for step in turn]
        yield fault, [chance.choice(of) for of in usable if of][:AT_ONCE], moment


def _whole(points: Sequence[Point]) -> Iterator[tuple[Fault, Sequence[Point], Moment]]:
    """Yield rounds in which every kill point meets every fault of a worker, and every step each other fault.

    `SLIPWAY_CHAOS_FAULTS=killed,hung` chooses the faults with these words in their names.
    """
    chance, words = random.Random(SEED), os.environ.get("SLIPWAY_CHAOS_FAULTS", "").split(",")
    for fault in (fault for fault in FAULTS if any(word in fault.name for word in words)):
        for moment in Moment:
            of = [point for point in points if point.moment is moment]
            if fault.party is not Party.WORKER:
                chance.shuffle(of)
                of = list({(point.kind, point.step): point for point in of}.values())
            of.sort(key=lambda point: point.depth)
            yield from ((fault, of[start : start + AT_ONCE], moment) for start in range(0, len(of), AT_ONCE))


def _catch_up(rounds: Rounds, points: Sequence[Point], outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Hold calls of the steps that no case has had so far, until there is none."""
    made: list[Outcome] = []
    for _ in range(MORE_ROUNDS):
        missing = _steps_without([*outcomes, *made])
        if not missing:
            break
        of = [point for point in points if (point.kind, point.step) in missing and point.moment is Moment.BEFORE]
        one_each = sorted({(p.kind, p.step): p for p in reversed(of)}.values(), key=lambda point: point.depth)
        made.append(rounds.run(MEETS_ALL, one_each[:AT_ONCE], Moment.BEFORE))
    return made


def _steps_without(outcomes: Sequence[Outcome]) -> set[tuple[str, str]]:
    everything = {(flow.name, step.name) for flow in WORKFLOWS.values() for step in flow.steps}
    return everything - {(case.point.kind, case.point.step) for o in outcomes for case in o.cases}

"""Every step, held at its calls, meets every fault: its job goes on by itself, nothing is lost, nothing is done twice.

The kill points come from a rehearsal of every workflow of the table, so a new step is in here without a further line.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from support.chaos import figures, plan
from support.chaos.installation import BIG, Installation
from support.chaos.ledger import differences
from support.chaos.outcomes import Outcome
from support.chaos.points import Point, Rehearsal
from support.chaos.rounds import Rounds
from support.chaos.scenarios import Scenarios

RESUMED_S = 10.0  # of 95 in a hundred, after a worker is gone; longer by as much as a machine takes for a job


def test_every_step_survives_every_fault_at_its_calls(
    installation: Installation, scenarios: Scenarios, rehearsal: Rehearsal, is_quick: bool
) -> None:
    points = rehearsal.points()
    assert plan.without(points) == set()
    rounds = Rounds(installation, scenarios, rehearsal, victim=BIG)
    outcomes = [rounds.run(*planned) for planned in (plan.short if is_quick else plan.whole)(points)]
    outcomes += _catch_up(rounds, points, outcomes)

    resumed_s = [s for o in outcomes if o.fault in ("host lost", "worker killed") for s in o.resumed_s]
    problems = [f"{outcome.fault}, {outcome.moment}: {problem}" for outcome in outcomes for problem in outcome.problems]
    problems += [*rounds.finish(), *differences(installation)]
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
    assert plan.without(_covered(outcomes)) == set()
    installation.is_well = True


def _catch_up(rounds: Rounds, points: Sequence[Point], outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Hold the steps that were not reached in time. A round holds at least the step that comes first: this ends."""
    made: list[Outcome] = []
    while missing := plan.without(_covered([*outcomes, *made])):
        made.append(rounds.run(*plan.catch_up(points, missing)))
        if plan.without(_covered([*outcomes, *made])) == missing:
            break
    return made


def _covered(outcomes: Iterable[Outcome]) -> list[Point]:
    return [case.point for outcome in outcomes for case in outcome.cases]

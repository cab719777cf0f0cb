"""The harness of real processes knows how a job of every workflow comes to be, and runs every kind of fault."""

from __future__ import annotations

from support.chaos import plan
from support.chaos.faults import FAULTS, Party
from support.chaos.points import Moment, Point
from support.chaos.scenarios import ACCEPT

from common.workflows import WORKFLOWS


def test_a_job_of_every_workflow_can_be_brought_to_its_kill_points() -> None:
    assert set(ACCEPT) == set(WORKFLOWS)


def test_the_short_run_has_faults_of_every_party() -> None:
    assert {fault.party for fault in FAULTS if fault.is_quick} == set(Party)


def test_no_two_faults_have_one_name() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)


def test_the_short_run_holds_every_step_for_a_fault_that_meets_everybody() -> None:
    steps = [(flow.name, step.name) for flow in WORKFLOWS.values() for step in flow.steps]
    points = [Point(kind, step, 0, 0, "gitlab", "GET /", Moment.BEFORE) for kind, step in steps]

    held = [point for fault, of, _ in plan.short(points) if fault.party is not Party.WORKER for point in of]

    assert plan.without(held) == set()


def test_a_round_that_catches_up_holds_the_first_step_that_is_missing() -> None:
    points = [
        Point("provision", step.name, 0, 0, "gitlab", "GET /", Moment.BEFORE) for step in WORKFLOWS["provision"].steps
    ]

    _, held, _ = plan.catch_up(points, {("provision", "await_helm"), ("provision", "fork_helm")})

    assert [point.step for point in held] == ["fork_helm", "await_helm"]

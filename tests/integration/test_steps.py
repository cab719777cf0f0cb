"""Every step of the table, three times: twice changes nothing · a lost reply converges · failures end as declared.

The cases are made from `common/workflows.py`: a new row is tested without a new line here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from support.world import World

from common import workflows
from common.models import Job, Outcome, StepState
from common.workflows import Step, Workflow
from harbour.faults import Fault
from harbour.server import Service
from worker.runner import Verdict

STEPS = [
    pytest.param(flow, step, id=workflows.task_name(flow.name, step.name))
    for flow in workflows.WORKFLOWS.values()
    for step in flow.steps
]


@dataclass(frozen=True)
class Failure:
    """What an upstream does, and the state that the step is in afterwards."""

    fault: Fault
    ends_as: StepState


def _status(status: int, body: str = "", **headers: str) -> Fault:
    return Fault(kind="status", status=status, body=body, headers={k.replace("_", "-"): v for k, v in headers.items()})


FAILURES = {
    "401": Failure(_status(401), StepState.FAILED),
    "403": Failure(_status(403), StepState.FAILED),
    "418": Failure(_status(418), StepState.FAILED),
    "429": Failure(_status(429, Retry_After="7"), StepState.RETRYING),
    "500": Failure(_status(500), StepState.RETRYING),
    "502": Failure(_status(502, "<html>Bad Gateway</html>"), StepState.RETRYING),
    "503": Failure(_status(503), StepState.RETRYING),
    "504": Failure(_status(504), StepState.RETRYING),
    "redirect": Failure(_status(302, Location="http://127.0.0.1:9/"), StepState.FAILED),
    "html": Failure(_status(200, "<html>Welcome</html>", Content_Type="text/html"), StepState.RETRYING),
    "reset": Failure(Fault(kind="reset"), StepState.RETRYING),
    "truncated": Failure(Fault(kind="truncate"), StepState.RETRYING),
}


@pytest.fixture
def begin(world: World, new_name: Callable[[str], str]) -> Callable[[Workflow, Step], Job]:
    """Return a function that accepts a job and runs it up to a step."""

    def run_up_to(flow: Workflow, step: Step) -> Job:
        job = world.sign_up(new_name("person")) if flow is workflows.SIGNUP else world.make_app(new_name("app"))
        world.drive(job, until=step.name)
        assert world.step(job, step.name).state is StepState.READY
        return job

    return run_up_to


Begin = Callable[[Workflow, Step], Job]


def _service(world: World, step: Step) -> Service:
    service = world.harbour.service(step.upstream.value)
    assert service is not None
    return service


@pytest.mark.parametrize(("flow", "step"), STEPS)
def test_twice_changes_nothing(world: World, begin: Begin, flow: Workflow, step: Step) -> None:
    job = begin(flow, step)
    assert world.run_through(job, step.name).verdict is Verdict.GO_ON
    first = world.step(job, step.name).output
    ledger = [(row.ref, row.provenance, row.outside_id, row.url) for row in world.ledger(job)]
    before, snapshot = world.write_count(), world.snapshot()

    result = world.deliver_again(job, step.name)

    assert result.verdict is Verdict.GO_ON
    assert world.write_count() == before
    assert world.snapshot() == snapshot
    assert world.step(job, step.name).output == first
    assert [(row.ref, row.provenance, row.outside_id, row.url) for row in world.ledger(job)] == ledger


@pytest.mark.parametrize(("flow", "step"), STEPS)
def test_a_second_delivery_of_a_finished_step_passes_on_without_a_call(
    world: World, begin: Begin, flow: Workflow, step: Step
) -> None:
    job = begin(flow, step)
    world.run_through(job, step.name)
    calls = len(world.harbour.calls())

    assert world.runner.run(job.id, step.name).verdict is Verdict.GO_ON

    assert len(world.harbour.calls()) == calls


@pytest.mark.parametrize(("flow", "step"), STEPS)
def test_a_reply_lost_after_any_call_converges(world: World, begin: Begin, flow: Workflow, step: Step) -> None:
    service = _service(world, step)
    model = begin(flow, step)
    calls_before = len(service.calls)
    world.run_through(model, step.name)
    methods = [call.method for call in service.calls[calls_before:]]
    writes = len([method for method in methods if method != "GET"])

    for lost in range(len(methods)):
        job = begin(flow, step)
        fault = service.inject(Fault(kind="lost", times=1, skip=lost))
        writes_before = len(service.writes())
        result = world.run_through(job, step.name)

        assert fault.times == 0, "the fault never hit"
        assert result.verdict is Verdict.GO_ON, result.reason
        assert len(service.writes()) - writes_before == writes, f"call {lost} of {methods} lost"
        assert [attempt.outcome for attempt in world.attempts(job, step.name)][-1] is Outcome.SUCCEEDED


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize(("flow", "step"), STEPS)
def test_each_failure_ends_as_declared(world: World, begin: Begin, flow: Workflow, step: Step, failure: str) -> None:
    declared = FAILURES[failure]
    job = begin(flow, step)
    fault = _service(world, step).inject(Fault(**vars(declared.fault)))
    writes = world.write_count()

    world.runner.run(job.id, step.name)

    row = world.step(job, step.name)
    assert row.state is declared.ends_as, row.reason
    assert row.reason
    assert fault.times is None
    assert world.write_count() == writes or failure == "truncated"
    if declared.ends_as is StepState.RETRYING:
        if failure == "429":
            assert row.due_at is not None
            assert (row.due_at - world.time()).total_seconds() == 7
        world.harbour.heal()
        assert world.run_through(job, step.name).verdict is Verdict.GO_ON

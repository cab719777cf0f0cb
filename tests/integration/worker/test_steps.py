"""Every step of the table: twice changes nothing · a lost reply converges · each upstream failure ends as declared.

The cases are made from `common/workflows.py`: a new row is tested without a new line here. What does not depend on the
database (how a failure is read, what a repair finds) is tested on SQLite only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from sqlalchemy import delete, update
from sqlalchemy.orm import Session
from support.runs import runs
from support.shapes import conforms
from support.step_cases import CASES, Case, Done, Stages
from support.world import World

from common.database.models import Refusal, Step
from common.states import Outcome, StepState
from common.step_outputs import OUTPUTS
from common.workflows import APP, Upstream
from harbour.faults import Call, Fault
from worker.runner import NextAction

pytestmark = pytest.mark.half

NO_GIT = r"^(?!.*\.git/)"  # what Argo CD fetches from GitLab is no call of ours

OF_ONE_UPSTREAM = [
    pytest.param(case, id=case.name)
    for case in CASES
    if case.step.upstream is not Upstream.SLIPWAY and not case.is_missing
]
ANSWERS = {"drift": ("parts", "state", "repairable"), "plan": ("steps", "verdict", "possible")}
INSPECTIONS = [pytest.param(case, id=case.name) for case in CASES if case.flow.name in ANSWERS]
ON_BOTH = [
    pytest.param(kind, case, id=f"{kind}-{case.name}")
    for kind in ("sqlite", "mariadb")
    for case in CASES
    if kind == "sqlite" or not case.is_missing
]


@dataclass(frozen=True)
class Failure:
    """What an upstream does, and the state that the step is in afterwards."""

    fault: Fault
    ends_as: StepState


def _status(status: int, body: str = "", **headers: str) -> Fault:
    return Fault(kind="status", status=status, body=body, headers={k.replace("_", "-"): v for k, v in headers.items()})


FAILURES = {
    "401": Failure(_status(401), StepState.RETRYING),  # of everything: the upstream is held
    "403": Failure(_status(403), StepState.RETRYING),
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
def world(stages: Stages) -> Iterator[World]:
    """A world that other tests have, too: what one of them left held back is free again."""
    yield stages.world

    def free(session: Session) -> None:
        session.execute(delete(Refusal))
        session.execute(update(Step).where(Step.parked_at.is_not(None)).values(parked_at=None, nudge_at=Step.due_at))

    stages.world.db.transaction(free)


def _ledger(world: World, done: Done) -> list[tuple[object, ...]]:
    return [(row.ref, row.provenance, row.outside_id, row.url) for row in world.ledger(done.job)]


@pytest.mark.parametrize(("kind", "case"), ON_BOTH)
def test_twice_changes_nothing(world: World, stages: Stages, case: Case) -> None:
    done = stages.done(case)
    ledger, writes, snapshot = _ledger(world, done), world.write_count(), world.snapshot()

    result = world.deliver_again(done.job, case.step.name)

    assert result.action is NextAction.GO_ON
    assert world.write_count() == writes
    assert world.snapshot() == snapshot
    assert world.step(done.job, case.step.name).output == done.output
    assert _ledger(world, done) == ledger


@pytest.mark.parametrize(("kind", "case"), ON_BOTH)
def test_a_second_delivery_of_a_finished_step_ends_without_a_call(world: World, stages: Stages, case: Case) -> None:
    done = stages.done(case)
    calls = world.call_count()

    assert world.runner.run(done.job.id, case.step.name).action is NextAction.NOT_OURS

    assert world.call_count() == calls


@pytest.mark.parametrize(("kind", "case"), ON_BOTH)
def test_an_output_is_stored_as_its_type_declares(stages: Stages, case: Case) -> None:
    output = stages.done(case).output

    assert output is not None
    assert conforms(output, OUTPUTS[case.step.name].type), output
    assert json.loads(json.dumps(output)) == output


def _to_lose(calls: list[Call], *, is_brief: bool) -> list[int]:
    """Return the calls whose replies are lost: the writes, the first read and those after a write; or all of them."""
    if runs(1) > 1:
        return list(range(len(calls)))
    writes = {number for number, call in enumerate(calls) if call.is_write}
    reads = set() if is_brief else {0, *(number + 1 for number in writes)}
    return sorted((writes | reads) & set(range(len(calls))))


@pytest.mark.parametrize(("kind", "case"), ON_BOTH)
def test_a_reply_lost_after_any_call_converges(world: World, stages: Stages, kind: str, case: Case) -> None:
    model = stages.done(case)
    writes = sum(call.is_write for call in model.calls)
    begin = stages.begin if writes or case.step.wait else stages.ready  # what only reads leaves all as it was

    for service in stages.services(case):
        calls = [call for call in model.calls if call.upstream == service.name]
        for lost in _to_lose(calls, is_brief=kind == "mariadb" or case.is_missing):
            job = begin(case)
            fault = service.inject(Fault(kind="lost", path=NO_GIT, times=1, skip=lost))
            writes_before = world.write_count()
            result = world.run_through(job, case.step.name)

            assert result.action is NextAction.GO_ON, result.reason
            if fault.times and case.step.wait and lost:  # it polled less often than the model: there was no such call
                service.clear_faults()
                continue
            assert fault.times == 0, "the fault never hit"
            assert world.write_count() - writes_before == writes, f"{calls[lost].method} {calls[lost].path} lost"
            assert [attempt.outcome for attempt in world.attempts(job, case.step.name)][-1] is Outcome.SUCCEEDED


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("case", OF_ONE_UPSTREAM)
def test_each_failure_ends_as_declared(world: World, stages: Stages, case: Case, failure: str) -> None:
    declared = FAILURES[failure]
    job = stages.ready(case)
    (service,) = stages.services(case)
    service.inject(replace(declared.fault))
    writes = world.write_count()

    world.runner.run(job.id, case.step.name)

    row = world.step(job, case.step.name)
    assert row.state is declared.ends_as, row.reason
    assert row.reason
    assert world.write_count() == writes
    if failure == "429":
        assert row.due_at is not None
        assert (row.due_at - world.time()).total_seconds() == 7


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("upstream", [each.value for each in APP])
@pytest.mark.parametrize("case", INSPECTIONS)
def test_an_inspection_reports_what_refuses_and_retries_what_stumbles(
    world: World, stages: Stages, case: Case, upstream: str, failure: str
) -> None:
    declared = FAILURES[failure]
    job = stages.ready(case)
    service = world.harbour.service(upstream)
    assert service is not None
    service.inject(replace(declared.fault, path=NO_GIT))

    world.runner.run(job.id, case.step.name)

    row = world.step(job, case.step.name)
    if declared.ends_as is StepState.RETRYING:
        assert row.state is StepState.RETRYING, row.reason
        return
    assert row.output is not None, row.reason
    found, verdict, is_possible = ANSWERS[case.flow.name]
    assert {part[verdict] for part in row.output[found] if part["upstream"] == upstream} & {"unreadable", "forbidden"}
    assert row.output[is_possible] is False

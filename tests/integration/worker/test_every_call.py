"""A failure at any call of any step, not only at the first: the job settles by itself, and each object is made once.

The calls are those of a clean run, so a new step and a new call are met without a new line. By default every other call
gets one of the failures, in turn; with SLIPWAY_RUNS above 1 each call gets every one (`make proofs`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from zlib import crc32

import pytest
from support.runs import runs
from support.step_cases import CASES, Case, Stages
from support.world import World

from common.states import Outcome
from common.workflows import Upstream
from harbour.faults import Call, Fault
from worker import upstreams
from worker.runner import NextAction, Runner, StepResult
from worker.upstreams import Connections

NO_GIT = r"^(?!.*\.git/)"  # what Argo CD fetches from GitLab is no call of ours
READ_S = 2.0  # of the worker's patience with a reply that comes byte by byte
NOTHING_DONE = frozenset({"status", "reset"})  # kinds of failure before which the call did nothing

FAILURES = {
    "500": Fault(kind="status", status=500, body="<html>Internal Server Error</html>"),
    "lost": Fault(kind="lost"),
    "429": Fault(kind="status", status=429, headers={"Retry-After": "7"}),
    "truncated": Fault(kind="truncate"),
    "503": Fault(kind="status", status=503),
    "reset": Fault(kind="reset"),
    "slow": Fault(kind="drip", delay_s=10 * READ_S),
}
NAMES = tuple(FAILURES)
EVERY = 2  # call gets a failure, in brief
EVERY_OF_INSPECTION = 12


def _impatient(connections: Connections) -> Connections:
    """Return the same connections, with little time for a reply."""
    for http in connections.values():
        http._limits = replace(http._limits, read_s=READ_S)  # noqa: SLF001 - a worker's patience is no setting
    return connections


@pytest.fixture
def world(stages: Stages) -> World:
    return stages.world


@dataclass
class Impatient:
    """Has little time for a reply until the failure has hit: a list of all repositories may take longer than that."""

    quick: Runner
    patient: Runner
    fault: Fault

    def run(self, job_id: str, step: str) -> StepResult:
        return (self.quick if self.fault.times else self.patient).run(job_id, step)


@pytest.fixture
def quick(world: World) -> Runner:
    connections = _impatient(upstreams.open_connections(world.settings))
    return world.runner_named("unlucky", upstreams.clients(connections))


def _failures_of(case: Case, calls: list[Call]) -> Iterator[tuple[int, str]]:
    """Yield the place of a call and a failure for it.

    In brief, a repair of what is missing is as making it, but for its writes; and our own inspections only read.
    """
    first = crc32(case.name.encode())
    every = EVERY_OF_INSPECTION if _inspects(case) else EVERY
    for place, call in enumerate(calls):
        if runs(1) > 1:
            yield from ((place, name) for name in NAMES)
        elif not (case.is_missing and not call.is_write) and (first + place) % every == 0:
            yield place, NAMES[(first + place) // every % len(NAMES)]


def _inspects(case: Case) -> bool:
    return case.step.upstream is Upstream.SLIPWAY


def _effects(world: World) -> int:
    """Count the writes that did something."""
    return sum(call.fault not in NOTHING_DONE for call in world.harbour.writes())


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_a_failure_at_any_call_is_overcome(world: World, stages: Stages, quick: Runner, case: Case) -> None:
    model = stages.done(case)
    writes = sum(call.is_write for call in model.calls)
    begin = stages.begin if writes or case.step.wait else stages.ready  # what only reads leaves all as it was

    for service in stages.services(case):
        calls = [call for call in model.calls if call.upstream == service.name]
        for place, name in _failures_of(case, calls):
            what = f"{name} at call {place}, {calls[place].method} {calls[place].path}"
            service.clear_faults()
            job = begin(case)
            fault = service.inject(replace(FAILURES[name], path=NO_GIT, times=1, skip=place))
            before = _effects(world)
            runner = Impatient(quick, world.runner, fault) if name == "slow" else world.runner

            result = world.run_through(job, case.step.name, runner=runner)

            assert result.action is NextAction.GO_ON, f"{what}: {result.reason}"
            if fault.times and case.step.wait:
                continue  # how often it polls depends on the moment
            assert fault.times == 0, f"{what}: it never hit"
            assert _effects(world) - before == writes, what
            assert world.attempts(job, case.step.name)[-1].outcome is Outcome.SUCCEEDED, what

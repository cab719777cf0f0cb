"""A call that a lost worker had sent arrives after the next attempt has looked for what it makes: it is made once."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import product

import pytest
from support.mariadb import wait_until
from support.world import World

from common.database.models import Job
from common.jobs import claims, ledger
from common.states import JobState, Outcome, StepState
from harbour.faults import Fault
from harbour.server import Service
from worker.refusals import PAUSES_S
from worker.runner import NextAction
from worker.upstreams.argocd import applications, repositories
from worker.upstreams.http import Limits

pytestmark = pytest.mark.one_database

WITHIN_S = 60.0
NewName = Callable[[str], str]
NOT_UNIQUE = {  # what no name keeps from being made twice
    "start_build": ("build", "jenkins", r"/buildWithParameters"),
    "sync_application": ("deploy", "argocd", r"/sync$"),
}


@pytest.mark.parametrize("step", NOT_UNIQUE)
def test_what_a_lost_worker_asked_for_is_awaited_before_it_is_asked_for_again(
    world: World, new_name: NewName, step: str
) -> None:
    kind, upstream, path = NOT_UNIQUE[step]
    job = _accept(world, new_name("app"), kind)
    service = world.harbour.service(upstream)
    assert service is not None
    asked = _times_asked(service, path)
    fault = service.inject(Fault(kind="hold", method="POST", path=path, times=1))

    with ThreadPoolExecutor(1) as lost_host:
        lost = lost_host.submit(world.runner_named("lost").run, job.id, step)
        wait_until("the call is under way", lambda: fault.held == 1)
        world.time.advance(claims.LEASE_S)
        early = world.runner_named("heir").run(job.id, step)
        fault.release()
        assert lost.result(WITHIN_S).action is NextAction.NOT_OURS

    assert (early.action, early.state) == (NextAction.LATER, StepState.WAITING)
    assert world.drive(job).state is JobState.SUCCEEDED
    assert [each.outcome for each in world.attempts(job, step)] == [Outcome.LOST, Outcome.SUCCEEDED]
    assert _times_asked(service, path) - asked == 1


@pytest.mark.parametrize("step", NOT_UNIQUE)
def test_it_is_asked_for_again_when_the_call_can_arrive_no_more(world: World, new_name: NewName, step: str) -> None:
    kind, upstream, path = NOT_UNIQUE[step]
    job = _accept(world, new_name("app"), kind)
    service = world.harbour.service(upstream)
    assert service is not None
    fault = service.inject(Fault(kind="hold", method="POST", path=path, times=1))
    with ThreadPoolExecutor(1) as lost_host:
        lost = lost_host.submit(world.runner_named("lost").run, job.id, step)
        wait_until("the call is under way", lambda: fault.held == 1)
        world.time.advance(claims.LEASE_S)
        world.runner_named("heir").run(job.id, step)
        fault.release(is_dropped=True)  # it never arrives
        lost.result(WITHIN_S)
    began = world.time()

    result = world.run_through(job, step)

    waited_s = (world.time() - began).total_seconds()
    assert result.action is NextAction.GO_ON
    assert waited_s <= ledger.LONGEST_CALL_S + ledger.ARRIVAL_MARGIN_S + 5.0
    assert world.drive(job).state is JobState.SUCCEEDED


def test_a_protection_that_a_lost_worker_was_lifting_does_not_take_the_next_ones_away(
    world: World, new_name: NewName
) -> None:
    app = new_name("app")
    job = world.make_app(app)
    for earlier in ("fork_source", "await_source"):
        world.run_through(job, earlier)
    gitlab = world.harbour.service("gitlab")
    assert gitlab is not None
    fault = gitlab.inject(Fault(kind="hold", method="DELETE", path=r"/protected_branches/", times=1))

    with ThreadPoolExecutor(1) as lost_host:
        lost = lost_host.submit(world.runner_named("lost").run, job.id, "open_to_developers")
        wait_until("the call is under way", lambda: fault.held == 1)
        world.time.advance(claims.LEASE_S)
        early = world.runner_named("heir").run(job.id, "open_to_developers")
        fault.release()
        assert lost.result(WITHIN_S).action is NextAction.NOT_OURS

    assert (early.action, early.state) == (NextAction.LATER, StepState.WAITING)
    assert world.drive(job).state is JobState.SUCCEEDED
    source = world.clients.gitlab.projects.get(f"dev/{app}")
    writes = world.write_count()
    world.clients.gitlab.projects.ensure_branch_open(source.id, "main")
    assert world.write_count() == writes


WRITES = {  # those whose late arrival is awaited
    "start_build": ("build", "jenkins", "POST", r"/buildWithParameters"),
    "sync_application": ("deploy", "argocd", "POST", r"/sync$"),
    "open_to_developers": ("provision", "gitlab", "DELETE", r"/protected_branches/"),
}


@pytest.mark.parametrize("step", WRITES)
def test_a_request_that_is_refused_is_not_awaited(world: World, new_name: NewName, step: str) -> None:
    job = _accept_for(world, new_name("app"), step)
    _refuse(world, step, Fault(kind="status", status=403, body="{}"))

    assert world.drive(job).state is JobState.FAILED

    failed = world.step(job, step)
    assert failed.state is StepState.FAILED
    assert "may" not in (failed.reason or "")
    assert len(world.attempts(job, step)) == 1 + len(PAUSES_S)


@pytest.mark.parametrize(
    ("step", "status"),
    [*product(WRITES, (429, 503)), ("open_to_developers", 409)],  # to Jenkins a 409 is an answer
)
def test_requests_that_fail_six_times_do_not_use_up_the_time_to_wait(
    world: World, new_name: NewName, step: str, status: int
) -> None:
    job = _accept_for(world, new_name("app"), step)
    _refuse(world, step, Fault(kind="status", status=status, body='{"message": "Resource lock"}', times=6))

    assert world.drive(job).state is JobState.SUCCEEDED


def test_no_client_waits_longer_for_an_answer_than_the_next_attempt_reckons_with() -> None:
    longest_s = max(Limits().total_s, applications.SLOW_S, repositories.SLOW_S)

    assert longest_s <= ledger.LONGEST_CALL_S


def _times_asked(service: Service, path: str) -> int:
    return len([call for call in service.writes() if re.search(path, call.path)])


def _accept_for(world: World, name: str, step: str) -> Job:
    kind = WRITES[step][0]
    return world.make_app(name) if kind == "provision" else _accept(world, name, kind)


def _refuse(world: World, step: str, fault: Fault) -> None:
    _kind, upstream, method, path = WRITES[step]
    service = world.harbour.service(upstream)
    assert service is not None
    service.inject(replace(fault, method=method, path=path))


def _accept(world: World, name: str, kind: str) -> Job:
    made = world.make_app(name)
    assert world.drive(made).state is JobState.SUCCEEDED
    return world.accept_build(made) if kind == "build" else world.accept_for(made, kind, image_tag="1.0")

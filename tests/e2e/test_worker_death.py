"""`kill -9` of a worker at the worst moments: the job goes on by itself and does nothing twice."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from support.stack import APP_WRITES, Person, Stack, wait_for

NewName = Callable[[str], str]
Job = dict[str, Any]
RECOVERED_S = 20.0  # the shortest lease is 35 s: who is done by then did not wait for one


@dataclass(frozen=True, kw_only=True)
class Moment:
    """When the worker dies: a fault that holds the moment still, and how it is seen."""

    name: str
    fault: dict[str, Any] = field(default_factory=dict)
    is_now: Callable[[Stack, Job], bool] = lambda stack, _job: stack.harbour.is_struck()


def _delay(upstream: str, path: str, delay_s: float = 1.5) -> dict[str, Any]:
    return {"upstream": upstream, "kind": "delay", "method": "POST", "path": path, "times": 1, "delay_s": delay_s}


def _is_waiting_for_the_import(_stack: Stack, job: Job) -> bool:
    return any(wait["step"] == "await_source" for wait in job["waiting_on"])


def _is_one_lane_done(_stack: Stack, job: Job) -> bool:
    return {step["state"] for step in job["lanes"][0]["steps"]} == {"succeeded"}


MOMENTS = [
    Moment(name="GitLab is making the fork", fault=_delay("gitlab", "/fork$")),
    Moment(name="GitLab is copying", fault={}, is_now=_is_waiting_for_the_import),
    Moment(
        name="one lane is done, the other is not",
        fault=_delay("argocd", "/repositories$", 2.5),
        is_now=_is_one_lane_done,
    ),
    Moment(
        name="the answer of Jenkins was lost",
        fault={"upstream": "jenkins", "kind": "lost", "method": "POST", "path": "/createItem$", "times": 1},
    ),
    Moment(name="Argo CD is making the application", fault=_delay("argocd", "/applications$")),
]


@pytest.mark.parametrize("stack", ["sqlite", "mariadb"], indirect=True)
@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment.name)
def test_a_job_outlives_its_worker(stack: Stack, new_name: NewName, moment: Moment) -> None:
    person = stack.person(new_name("ada"))
    project, before = person.make_project(new_name("shop")), stack.harbour.last_call()
    if moment.fault:
        stack.harbour.fault(**moment.fault)
    job_id = person.make_app(project, new_name("app"))
    wait_for(moment.name, lambda: moment.is_now(stack, person.job(job_id)) or None)

    stack.kill("worker1")
    killed_s = time.monotonic()
    person.follow(job_id)

    took_s = time.monotonic() - killed_s
    print(f"\nkilled while {moment.name}: job over {took_s:.1f} s later")  # noqa: T201 - a figure that we report
    assert took_s < RECOVERED_S
    assert stack.harbour.writes(since=before) == APP_WRITES
    _assert_ledger_is_complete(person, job_id)


def _assert_ledger_is_complete(person: Person, job_id: str) -> None:
    parts = person.app(job_id)["parts"]
    assert sorted(part["kind"] for part in parts) == ["application", "pipeline", "project", "project", "repository"]
    assert {part["state"] for part in parts} == {"created"}

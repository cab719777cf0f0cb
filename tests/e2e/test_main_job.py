"""The main job, undisturbed: accounts, repositories, pipeline and application, wired to one another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.settings import fields_of
from support.stack import APP_WRITES, SIGN_UP_WRITES, Stack, wait_for

from common import workflows
from common.broker import Publisher, celery_app
from common.config.settings import Settings
from common.jobs.lane_messages import LaneMessage

NewName = Callable[[str], str]
BOTH_DATABASES = pytest.mark.parametrize("stack", ["sqlite", "mariadb"], indirect=True)


@BOTH_DATABASES
def test_a_sign_up_and_an_app_are_all_there_on_the_four_upstreams(stack: Stack, new_name: NewName) -> None:
    login, before = new_name("ada"), stack.harbour.last_call()

    person = stack.person(login)
    job_id = person.make_app(person.make_project(new_name("shop")), "storefront")
    person.follow(job_id)

    writes = stack.harbour.writes(since=before)
    assert writes == SIGN_UP_WRITES + APP_WRITES
    findings = stack.findings(person, person.app(job_id), login)
    assert len(findings) == 11
    assert sum("git clone" in finding for finding in findings) == 2


def test_a_message_that_comes_three_times_does_everything_once(stack: Stack, new_name: NewName) -> None:
    person, before = stack.person(new_name("ada")), stack.harbour.last_call()
    job_id = person.make_app(person.make_project(new_name("shop")), new_name("app"))

    _deliver(stack, job_id, times=2)
    person.follow(job_id)

    assert stack.harbour.writes(since=before) == APP_WRITES


def test_a_message_that_comes_after_the_end_makes_not_one_call(stack: Stack, new_name: NewName) -> None:
    person = stack.person(new_name("ada"))
    job_id = person.make_app(person.make_project(new_name("shop")), new_name("app"))
    person.follow(job_id)
    before = stack.harbour.last_call()

    _deliver(stack, job_id, times=2)

    lanes = len(workflows.PROVISION.lanes)  # each delivery ends at the first step: whoever did it has gone on
    wait_for("every lane was delivered twice more", lambda: _refused(stack, job_id) >= 2 * lanes or None)
    assert [call for call in stack.harbour.calls(since=before) if call["kind"] == "api"] == []


def _deliver(stack: Stack, job_id: str, *, times: int) -> None:
    fields: dict[str, Any] = {**fields_of(stack.environment)}
    lanes = [
        LaneMessage(job_id=job_id, kind="provision", steps=tuple(step.name for step in lane.steps))
        for lane in workflows.PROVISION.lanes
    ]
    with celery_app(Settings(_env_file=None, **fields)) as app:
        assert Publisher(app).send(lanes * times) == len(lanes) * times


def _refused(stack: Stack, job_id: str) -> int:
    return sum(job_id in line and "the step has been done" in line for line in stack.log_of("worker1"))

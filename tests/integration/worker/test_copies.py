"""A copy of a template is waited for as long as it may take, however GitLab answers in between."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.world import World

from common.database.models import Job
from common.states import JobState, StepState
from harbour.faults import Fault

pytestmark = pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)  # the upstreams are what differs here
WAITS = ["await_source", "await_helm"]


@pytest.fixture
def waiting(world: World, new_name: Callable[[str], str], step: str) -> Job:
    """An app whose repository GitLab has not copied yet."""
    made = world.drive(world.make_app(new_name("copied")), until=step)
    project_id = (world.step(made, step.replace("await", "fork")).output or {})["project_id"]
    world.snapshot()  # the background has come to rest
    world.harbour.gitlab.state.projects[project_id].import_status = "started"
    world.runner.run(made.id, step)
    assert world.step(made, step).state is StepState.WAITING
    return made


@pytest.mark.parametrize("step", WAITS)
def test_a_copy_may_take_longer_than_it_usually_does(world: World, waiting: Job, step: str) -> None:
    for _ in range(5):
        world.time.advance(60)
        world.runner.run(waiting.id, step)

    assert world.step(waiting, step).state is StepState.WAITING


@pytest.mark.parametrize("step", WAITS)
def test_the_time_for_which_gitlab_wants_no_calls_is_no_wait(world: World, waiting: Job, step: str) -> None:
    for _ in range(3):
        fault = Fault(kind="status", status=429, headers={"Retry-After": "600"}, body="Retry later", times=1)
        world.time.advance(2)
        world.harbour.gitlab.inject(fault)
        world.runner.run(waiting.id, step)
        assert world.step(waiting, step).state is StepState.RETRYING
        world.time.advance(601)
        world.runner.run(waiting.id, step)

    assert world.step(waiting, step).state is StepState.WAITING


def test_an_empty_template_ends_the_job_at_once_for_the_operator(world: World, new_name: Callable[[str], str]) -> None:
    template = world.harbour.gitlab.state.project_at("templates/Helm_Template")
    assert template is not None
    template.default_branch = None
    try:
        made = world.drive(world.make_app(new_name("empty")))
    finally:
        template.default_branch = "main"

    step = world.step(made, "fork_helm")
    assert (made.state, step.state, step.code) == (JobState.FAILED, StepState.FAILED, "rejected")
    assert "templates/Helm_Template is empty" in (step.reason or "")
    assert any("platform team" in each for each in step.remedy or [])

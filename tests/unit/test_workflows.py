"""The table keeps its word: give-up times, names, the plan that is pinned."""

from __future__ import annotations

import pytest

from common.workflows import WORKFLOWS, Step, find_step, task_name
from worker.registry import load_steps

STEPS = [
    pytest.param(flow.name, step, id=task_name(flow.name, step.name))
    for flow in WORKFLOWS.values()
    for step in flow.steps
]

GIVES_UP_AFTER_S = {
    "signup.create_gitlab_user": 1111,
    "signup.join_gitlab_group": 1111,
    "signup.create_jenkins_user": 1111,
    "signup.assign_jenkins_role": 1111,
    "signup.create_kibana_user": 1111,
    "provision.fork_source": 1111,
    "provision.await_source": 123,
    "provision.open_to_developers": 1111,
    "provision.create_pipeline": 1111,
    "provision.fork_helm": 1111,
    "provision.await_helm": 123,
    "provision.register_repository": 1111,
    "provision.create_application": 1111,
}
WAITS_S = {
    "provision.await_source": 600,
    "provision.open_to_developers": 60,
    "provision.await_helm": 30,
    "provision.create_application": 300,
}


def test_steps_give_up_when_the_table_says() -> None:
    actual = {
        task_name(flow.name, step.name): round(step.retry.gives_up_after_s)
        for flow in WORKFLOWS.values()
        for step in flow.steps
    }

    assert actual == GIVES_UP_AFTER_S


def test_steps_wait_as_long_as_the_table_says() -> None:
    actual = {
        task_name(flow.name, step.name): step.wait.at_most_s
        for flow in WORKFLOWS.values()
        for step in flow.steps
        if step.wait
    }

    assert actual == WAITS_S


@pytest.mark.parametrize(("flow", "step"), STEPS)
def test_every_step_says_why_it_may_be_repeated(flow: str, step: Step) -> None:
    assert len(step.repeat.split()) >= 2
    assert find_step(flow, step.name) is step


def test_step_names_are_unique_within_a_workflow() -> None:
    for flow in WORKFLOWS.values():
        names = [step.name for step in flow.steps]
        assert len(names) == len(set(names))


def test_every_declared_step_has_a_function_and_the_reverse() -> None:
    assert len(load_steps()) == len(STEPS)

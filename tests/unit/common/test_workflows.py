"""The table keeps its word: give-up times, names, the plan that is pinned."""

from __future__ import annotations

import pytest

from common.workflows import WORKFLOWS, StepPlan, find_step, task_name
from worker.registry import load_steps

STEPS = [
    pytest.param(flow.name, step, id=task_name(flow.name, step.name))
    for flow in WORKFLOWS.values()
    for step in flow.steps
]

GIVES_UP_AFTER_S = {
    "signup.check_gitlab_name": 1111,
    "signup.create_gitlab_user": 1111,
    "signup.join_gitlab_group": 1111,
    "signup.check_jenkins_name": 1111,
    "signup.create_jenkins_user": 1111,
    "signup.assign_jenkins_role": 1111,
    "signup.check_kibana_name": 1111,
    "signup.create_kibana_user": 1111,
    "provision.fork_source": 1111,
    "provision.await_source": 123,
    "provision.open_to_developers": 1111,
    "provision.create_pipeline": 1111,
    "provision.fork_helm": 1111,
    "provision.await_helm": 123,
    "provision.register_repository": 1111,
    "provision.create_application": 1111,
    "build.start_build": 1111,
    "build.await_executor": 123,
    "build.await_result": 1111,
    "build.stop_build": 1111,
    "deploy.sync_application": 1111,
    "deploy.await_healthy": 123,
    "deprovision.delete_application": 1111,
    "deprovision.delete_repository": 1111,
    "deprovision.delete_pipeline": 1111,
    "deprovision.delete_helm": 1111,
    "deprovision.delete_source": 1111,
    "deprovision.release_name": 1111,
    "removal_preview.inspect_repositories": 123,
    "reconcile.fork_source": 1111,
    "reconcile.await_source": 123,
    "reconcile.open_to_developers": 1111,
    "reconcile.create_pipeline": 1111,
    "reconcile.fork_helm": 1111,
    "reconcile.await_helm": 123,
    "reconcile.register_repository": 1111,
    "reconcile.create_application": 1111,
    "drift.compare_app": 123,
    "plan.foresee_app": 123,
    "checkup.examine": 123,
    "offboard.leave_gitlab_group": 1111,
    "offboard.block_gitlab_user": 1111,
    "offboard.revoke_jenkins_role": 1111,
    "offboard.delete_jenkins_user": 1111,
    "offboard.delete_kibana_user": 1111,
    "change_password.set_gitlab_password": 1111,
    "change_password.set_jenkins_password": 1111,
    "change_password.set_kibana_password": 1111,
}
WAITS_S = {
    "signup.assign_jenkins_role": 60,
    "provision.await_source": 600,
    "provision.open_to_developers": 3600,
    "provision.await_helm": 600,
    "provision.create_application": 300,
    "build.start_build": 72000,
    "build.await_executor": 21600,
    "build.await_result": 43200,
    "build.stop_build": 300,
    "deploy.sync_application": 43200,
    "deploy.await_healthy": 1800,
    "deprovision.delete_application": 3600,
    "deprovision.delete_repository": 300,
    "deprovision.delete_pipeline": 300,
    "deprovision.delete_helm": 3600,
    "deprovision.delete_source": 3600,
    "reconcile.await_source": 600,
    "reconcile.open_to_developers": 3600,
    "reconcile.await_helm": 600,
    "reconcile.create_application": 300,
    "offboard.leave_gitlab_group": 300,
    "offboard.block_gitlab_user": 300,
    "offboard.revoke_jenkins_role": 300,
    "offboard.delete_jenkins_user": 300,
    "offboard.delete_kibana_user": 300,
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
def test_every_step_says_why_it_may_be_repeated(flow: str, step: StepPlan) -> None:
    assert len(step.repeat.split()) >= 2
    assert find_step(flow, step.name) is step


def test_step_names_are_unique_within_a_workflow() -> None:
    for flow in WORKFLOWS.values():
        names = [step.name for step in flow.steps]
        assert len(names) == len(set(names))


def test_every_declared_step_has_a_function_and_the_reverse() -> None:
    assert len(load_steps()) == len(STEPS)

"""What operators see in Flower: everything by its name, for those who have the password."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests
from support.stack import PASSWORD, Stack, wait_for

NewName = Callable[[str], str]


@pytest.mark.parametrize("path", ["/", "/workers", "/tasks", "/api/tasks", "/api/workers"])
def test_nobody_looks_without_the_password(stack: Stack, path: str) -> None:
    url = stack.embedded.flower_url + path
    user, password = stack.flower_login

    assert requests.get(url, timeout=10).status_code == 401
    assert requests.get(url, auth=(user, "wrong"), timeout=10).status_code == 401
    assert requests.get(url, auth=(user, password), timeout=10).status_code == 200


def test_tasks_carry_their_steps_name_and_a_retry_its_reason_and_no_password(stack: Stack, new_name: NewName) -> None:
    person = stack.anyone()
    stack.harbour.fault("elasticsearch", kind="status", status=503, path="^/_security/user/")
    job_id = person.sign_up(new_name("ada"))

    retried = wait_for(
        "Flower shows the retry", lambda: _tasks(stack, job_id, "RETRY").get("signup.create_kibana_user")
    )
    stack.harbour.heal()
    person.follow(job_id)
    done = wait_for("Flower shows the rest", lambda: _four_done(stack, job_id))

    reasons = {attempt["reason"] for attempt in person.step(job_id, "create_kibana_user")["attempts"]}
    assert retried["exception"] in reasons - {None}
    assert retried["args"] == f"('{job_id}',)"
    assert {task.partition(".")[0] for task in done} == {"signup"}
    assert PASSWORD not in repr(done) + repr(retried)


def test_a_wait_is_shown_as_a_retry_and_no_failure(stack: Stack, new_name: NewName) -> None:
    person = stack.person(new_name("ada"))
    job_id = person.make_app(person.make_project(new_name("shop")), new_name("app"))

    person.follow(job_id)
    waited = wait_for("Flower shows the wait", lambda: _tasks(stack, job_id, "RETRY").get("provision.await_source"))

    assert waited["exception"].startswith("GitLab is copying the template")
    assert _tasks(stack, job_id, "FAILURE") == {}


def _tasks(stack: Stack, job_id: str, state: str) -> dict[str, Any]:
    """Return the tasks of a job in this state, by name."""
    answer = requests.get(f"{stack.embedded.flower_url}/api/tasks", auth=stack.flower_login, timeout=10)
    return {
        task["name"]: task
        for task in answer.json().values()
        if job_id in (task["args"] or "") and task["state"] == state
    }


def _four_done(stack: Stack, job_id: str) -> dict[str, Any] | None:
    done = _tasks(stack, job_id, "SUCCESS")
    return done if len(done) >= 5 else None

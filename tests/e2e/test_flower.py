"""What operators see in Flower: what happens to which app and person, and why; for those who have the password."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from pydantic import SecretStr
from sqlalchemy import make_url
from support.checkout import ROOT
from support.flower import Flower, actions
from support.services import free_port
from support.settings import fields_of
from support.stack import PASSWORD, Stack, wait_for

from api.presentation import links
from common.broker import QUEUES, celery_app
from common.config.settings import WorkerSettings
from common.workflows import SIGNUP

NewName = Callable[[str], str]
COMMAND = (sys.executable, "-m", "celery", "-A", "worker", "flower")
OPEN = ("/healthcheck", "/logout")  # OK; nothing
EX_CONFIG = 78


@pytest.fixture
def flower(stack: Stack) -> Flower:
    return Flower(stack)


@pytest.fixture
def busy(stack: Stack, flower: Flower, new_name: NewName) -> Flower:
    """Flower when there is something to be seen in it."""
    person = stack.anyone()
    job_id = person.sign_up(new_name("ada"))
    wait_for("Flower shows the sign-up", lambda: _done(flower, job_id, len(SIGNUP.steps)))
    wait_for("Flower shows the worker", flower.workers)
    return flower


@pytest.fixture
def config(stack: Stack) -> WorkerSettings:
    return WorkerSettings(_env_file=None, **fields_of(stack.environment))


def _environment(stack: Stack, **changes: str) -> dict[str, str]:
    """Return a stack's settings without those of Flower, which are `changes`."""
    settings = {name: value for name, value in stack.environment.items() if not name.startswith("FLOWER_")}
    return {**os.environ, **settings, "PYTHONPATH": str(ROOT), **changes}


@contextmanager
def _started(place: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run the command of docs/installation.md, in a place where a file of settings may lie."""
    with subprocess.Popen(COMMAND, cwd=place, env=environment, stdout=subprocess.DEVNULL) as process:
        yield process
        process.terminate()


def _is_open(host: str, port: int) -> bool:
    try:
        return requests.get(f"http://{host}:{port}/healthcheck", timeout=5).ok
    except requests.ConnectionError:
        return False


# -- who may look -------------------------------------------------------------------------------------------------


def test_nobody_looks_without_the_password(busy: Flower) -> None:
    for path, _ in busy.answers():
        is_open = path in OPEN

        assert requests.get(busy.url + path, timeout=10).ok is is_open, path
        assert requests.get(busy.url + path, auth=("operator", "wrong"), timeout=10).ok is is_open, path


def test_who_looks_can_do_nothing(flower: Flower) -> None:
    assert {path: flower.post(path).status_code for path in actions()} == dict.fromkeys(actions(), 403)


@pytest.mark.parametrize("login", ["", "a:b,operator", "admin:admin"])
def test_it_does_not_start_without_a_password(stack: Stack, tmp_path: Path, login: str) -> None:
    environment = _environment(stack, FLOWER_BASIC_AUTH=login)

    ended = subprocess.run(
        COMMAND, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=30, check=False
    )

    assert ended.returncode == EX_CONFIG
    assert "FLOWER_BASIC_AUTH" in ended.stderr
    assert "Visit me" not in ended.stdout


def test_it_takes_its_password_from_a_file_and_listens_on_this_machine_only(stack: Stack, tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / ".env").write_text(f"FLOWER_BASIC_AUTH=somebody:out of a file\nFLOWER_PORT={port}\n")

    with _started(tmp_path, _environment(stack)):
        wait_for("Flower is up", lambda: _is_open("127.0.0.1", port) or None)
        answer = requests.get(f"http://127.0.0.1:{port}/tasks", auth=("somebody", "out of a file"), timeout=10)

        assert answer.ok
        assert not _is_open("127.0.0.2", port)  # this machine, too, but another address: 0.0.0.0 would listen there


def test_nothing_that_it_shows_holds_a_secret(busy: Flower, config: WorkerSettings) -> None:
    hidden = [PASSWORD, busy.login[1], *_secrets(config)]

    shown = {path: answer.text for path, answer in busy.answers()}

    assert len(hidden) >= 9
    assert any(path.startswith("/worker/") and "broker_url" in text for path, text in shown.items())  # its settings
    assert [path for path, text in shown.items() if any(secret in text for secret in hidden)] == []


def _secrets(config: WorkerSettings) -> Iterator[str]:
    for _, value in config:
        for each in value if isinstance(value, tuple) else (value,):
            if isinstance(each, SecretStr):
                text = each.get_secret_value()
                yield make_url(text).password or text if "://" in text else text


# -- what it shows ------------------------------------------------------------------------------------------------


def test_a_sign_up_is_shown_by_step_job_and_person_and_a_retry_by_its_reason(
    stack: Stack, flower: Flower, new_name: NewName
) -> None:
    person, login = stack.anyone(), new_name("ada")
    stack.harbour.fault("elasticsearch", kind="status", status=503, method="PUT", path="^/_security/user/")
    job_id = person.sign_up(login)

    retried = wait_for("Flower shows the retry", lambda: flower.tasks(job_id, "RETRY").get("signup.create_kibana_user"))
    stack.harbour.clear_faults()
    person.follow(job_id)
    done = wait_for("Flower shows the rest", lambda: _done(flower, job_id, len(SIGNUP.steps)))

    reasons = {attempt["reason"] for attempt in person.step(job_id, "create_kibana_user")["attempts"]}
    assert retried["exception"] in reasons - {None}
    assert retried["args"] == f"('{job_id}',)"
    assert {task["kwargs"] for task in done.values()} == {repr({"login": login, "team": "dev"})}
    assert {name.partition(".")[0] for name in done} == {"signup"}


def test_a_wait_is_shown_as_a_retry_and_no_failure(stack: Stack, flower: Flower, new_name: NewName) -> None:
    person, app = stack.person(new_name("ada")), new_name("app")
    job_id = person.make_app(person.make_project(new_name("shop")), app)

    person.follow(job_id)
    waited = wait_for("Flower shows the wait", lambda: flower.tasks(job_id, "RETRY").get("provision.await_source"))

    assert waited["exception"].startswith("GitLab is copying the template")
    assert waited["kwargs"] == repr({"app": app, "team": "dev"})
    assert flower.tasks(job_id, "FAILURE") == {}


def test_a_failure_is_shown_by_the_first_line_of_its_reason(stack: Stack, flower: Flower, new_name: NewName) -> None:
    person = stack.person(new_name("ada"))
    stack.harbour.fault("jenkins", kind="status", status=422, method="POST", path="/createItem$")
    job_id = person.make_app(person.make_project(new_name("shop")), new_name("app"))

    failed = wait_for("Flower shows it", lambda: flower.tasks(job_id, "FAILURE").get("provision.create_pipeline"))

    reason = wait_for("the job says why", lambda: person.step(job_id, "create_pipeline")["reason"])
    assert failed["exception"] == reason.partition("\n")[0]


def test_a_message_that_comes_twice_is_shown_as_refused_and_not_as_running(
    stack: Stack, flower: Flower, config: WorkerSettings, new_name: NewName
) -> None:
    person = stack.anyone()
    stack.harbour.fault("elasticsearch", kind="delay", delay_s=2.0, method="PUT", path="^/_security/user/", times=1)
    job_id = person.sign_up(new_name("ada"))
    wait_for("it is at it", lambda: person.step(job_id, "create_kibana_user")["state"] == "running" or None)

    app = celery_app(config)
    twin = app.send_task("signup.create_kibana_user", args=(job_id,)).id
    app.close()

    shown = wait_for("Flower shows it", lambda: _task(flower, twin, "REFUSED"))
    assert shown["exception"] == "it is not the step's turn, or another worker has it"
    person.follow(job_id)


def test_the_link_of_a_job_leads_to_its_tasks(
    stack: Stack, flower: Flower, config: WorkerSettings, new_name: NewName
) -> None:
    person = stack.anyone()
    job_id, other = person.sign_up(new_name("ada")), person.sign_up(new_name("ada"))
    wait_for("Flower shows both", lambda: _done(flower, job_id, len(SIGNUP.steps)) and _done(flower, other, 5))

    link = links.flower_tasks_url("signup", job_id, config)

    assert link is not None
    assert link.startswith(flower.url)
    assert {task["name"] for task in flower.found_at(link)} == set(flower.tasks(job_id))
    assert all(job_id in task["args"] for task in flower.found_at(link))


def test_every_queue_is_shown_with_its_length(flower: Flower) -> None:
    lengths = flower.get("/api/queues/length").json()["active_queues"]

    assert {queue["name"] for queue in lengths} == set(QUEUES)
    assert all(queue["messages"] >= 0 for queue in lengths)
    assert all(f">{name}<" in flower.get("/broker").text for name in QUEUES)


def test_a_worker_that_has_nothing_to_do_gives_signs_of_life(flower: Flower) -> None:
    def signs() -> int:
        return sum(worker.get("worker-heartbeat", 0) for worker in flower.workers())

    before = signs()
    wait_for("another sign of life", lambda: signs() > before or None)

    (worker,) = flower.workers()
    assert worker["status"]
    assert worker["loadavg"]
    assert worker["freq"] <= 10  # twice as long without one, and it is shown as gone


def _done(flower: Flower, job_id: str, count: int) -> dict[str, Any] | None:
    done = flower.tasks(job_id, "SUCCESS")
    return done if len(done) >= count else None


def _task(flower: Flower, uuid: str, state: str) -> dict[str, Any] | None:
    answer = flower.get(f"/api/task/info/{uuid}")
    task: dict[str, Any] = answer.json() if answer.ok else {}
    return task if task.get("state") == state else None

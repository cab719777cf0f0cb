"""Do the stand-ins log, misbehave, remember and stop as they promise?"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from support.checkout import ROOT
from support.mariadb import wait_until
from werkzeug.wrappers import Request, Response

from harbour.config import STAND_INS, HarbourConfig
from harbour.control import Control
from harbour.elasticsearch.app import Elasticsearch
from harbour.server import Fault, Service, route
from harbour.world import Harbour


class Counter(Service):
    """A service that counts up."""

    name = "counter"

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def dump(self) -> dict[str, Any]:
        return {"count": self.count}

    def load(self, state: dict[str, Any]) -> None:
        self.count = state["count"]

    @route("GET", "/count/:name")
    def read(self, _request: Request, name: str) -> Response:
        return Response(f"{name}={self.count}")

    @route("GET", "/count/total")
    def total(self, _request: Request) -> Response:
        return Response(str(self.count))

    @route("POST", "/count")
    def add(self, request: Request) -> Response:
        self.count += int(request.form.get("by", "1"))
        return Response(str(self.count), 201)


@pytest.fixture
def counter(tmp_path: Path) -> Iterator[Counter]:
    service = Counter()
    service.keep(tmp_path / "counter.json")
    service.start()
    yield service
    service.stop()


def add(counter: Counter) -> requests.Response:
    return requests.post(f"{counter.url}/count", timeout=10)


# -- routes and the log ------------------------------------------------------------------------------------


def test_an_encoded_slash_stays_in_its_segment_and_a_literal_wins(counter: Counter) -> None:
    assert requests.get(f"{counter.url}/count/a%2Fb", timeout=10).text == "a/b=0"
    assert requests.get(f"{counter.url}/count/total", timeout=10).text == "0"
    assert requests.get(f"{counter.url}/count/a/b", timeout=10).status_code == 404
    assert requests.get(f"{counter.url}/count", timeout=10).headers["Allow"] == "POST"


def test_chunked_and_form_bodies_arrive(counter: Counter) -> None:
    requests.post(f"{counter.url}/count", data={"by": "2"}, timeout=10)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    requests.post(f"{counter.url}/count", data=iter([b"by", b"=3"]), headers=headers, timeout=10)

    assert counter.count == 5
    assert [call.body for call in counter.writes()] == ["by=2", "by=3"]


def test_calls_are_logged_with_what_was_answered(counter: Counter) -> None:
    requests.get(f"{counter.url}/count/total?x=1", timeout=10)
    add(counter)

    logged = [(call.number, call.method, call.path, call.status, call.is_write) for call in counter.calls]
    assert logged == [(1, "GET", "/count/total?x=1", 200, False), (2, "POST", "/count", 201, True)]


# -- faults ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "count"), [("reset", 0), ("lost", 1)])
def test_a_reset_did_nothing_and_a_lost_reply_did_it(counter: Counter, kind: str, count: int) -> None:
    counter.inject(Fault(kind=kind, method="POST", times=1))

    with pytest.raises(requests.ConnectionError):
        add(counter)

    assert counter.count == count
    assert counter.calls[0].fault == kind
    assert add(counter).status_code == 201


@pytest.mark.parametrize(("kind", "count"), [("status", 0), ("status_after", 1)])
def test_a_status_is_answered_before_or_after_the_write(counter: Counter, kind: str, count: int) -> None:
    counter.inject(Fault(kind=kind, status=429, body="slow down", headers={"Retry-After": "7"}))

    answer = add(counter)

    assert (answer.status_code, answer.text, answer.headers["Retry-After"]) == (429, "slow down", "7")
    assert counter.count == count


def test_a_truncated_reply_is_an_error_to_the_client(counter: Counter) -> None:
    counter.inject(Fault(kind="truncate", method="POST"))

    with pytest.raises(requests.RequestException):
        add(counter)

    assert counter.count == 1


def test_a_dripping_reply_arrives_whole(counter: Counter) -> None:
    counter.inject(Fault(kind="drip", delay_s=0.001))

    assert requests.get(f"{counter.url}/count/total", timeout=10).text == "0"


def test_a_delay_holds_the_reply_back(counter: Counter) -> None:
    counter.inject(Fault(kind="delay", delay_s=5.0, times=1))

    with pytest.raises(requests.ReadTimeout):
        requests.get(f"{counter.url}/count/total", timeout=0.1)


def test_skip_times_and_path_choose_the_calls(counter: Counter) -> None:
    counter.inject(Fault(kind="status", method="POST", path="^/count$", skip=1, times=1))

    statuses = [add(counter).status_code for _ in range(3)]

    assert statuses == [201, 503, 201]


def test_healing_ends_an_outage(counter: Counter) -> None:
    counter.inject(Fault(kind="status"))
    assert add(counter).status_code == 503

    counter.clear_faults()

    assert add(counter).status_code == 201


@pytest.mark.parametrize(
    ("kind", "is_dropped", "before", "after", "answers"),
    [
        ("hold", False, 0, 1, [201]),
        ("hold", True, 0, 0, []),
        ("hold_reply", False, 1, 1, [201]),
        ("hold_reply", True, 1, 1, []),
    ],
)
def test_a_held_call_waits_until_it_is_released_or_dropped(
    counter: Counter, kind: str, is_dropped: bool, before: int, after: int, answers: list[int]
) -> None:
    fault = counter.inject(Fault(kind=kind, times=1))
    seen: list[int] = []

    def call() -> None:
        with contextlib.suppress(requests.ConnectionError):
            seen.append(add(counter).status_code)

    caller = threading.Thread(target=call)
    caller.start()
    wait_until("the call is held", lambda: fault.held == 1)
    counted = counter.count
    counter.clear_faults(is_dropped=is_dropped)
    caller.join()

    assert (counted, counter.count, seen) == (before, after, answers)


def test_calls_are_told_apart_by_their_user_agent(counter: Counter) -> None:
    counter.inject(Fault(kind="status", user_agent="^second$"))

    statuses = [
        requests.post(f"{counter.url}/count", headers={"User-Agent": name}, timeout=10).status_code
        for name in ("first", "second")
    ]

    assert statuses == [201, 503]
    assert [call.user_agent for call in counter.calls] == ["first", "second"]


# -- life --------------------------------------------------------------------------------------------------


def test_state_survives_a_restart(tmp_path: Path) -> None:
    first, second = Counter(), Counter()
    for service in (first, second):
        service.keep(tmp_path / "counter.json")
        service.start()
        add(service)
        service.stop()

    assert (first.snapshot(), second.snapshot()) == ({"count": 1}, {"count": 2})
    assert [path.name for path in tmp_path.iterdir()] == ["counter.json"]


def test_a_stopped_service_hangs_up_on_kept_alive_connections(tmp_path: Path) -> None:
    service = Counter()
    service.keep(tmp_path / "counter.json")
    url = service.start()
    with requests.Session() as session:
        session.get(f"{url}/count/total", timeout=10)

        service.stop()

        with pytest.raises(requests.ConnectionError):
            session.get(f"{url}/count/total", timeout=10)


def test_a_configured_password_counts_after_a_restart_too(config: HarbourConfig) -> None:
    for _ in range(2):
        service = Elasticsearch(config)
        service.keep(config.root / "elasticsearch.json")
        service.start()
        login = (config.elasticsearch_user, config.elasticsearch_password)
        answer = requests.get(f"{service.url}/_security/_authenticate", auth=login, timeout=10)
        service.stop()

        assert answer.status_code == 200


# -- all four together -------------------------------------------------------------------------------------


def test_calls_of_all_services_come_in_order(harbour: Harbour) -> None:
    for service in (harbour.elasticsearch, harbour.gitlab, harbour.elasticsearch):
        requests.post(f"{service.url}/api/v4/x", timeout=10)

    assert [call.upstream for call in harbour.calls()] == ["elasticsearch", "gitlab", "elasticsearch"]
    assert harbour.calls() == harbour.writes()


def test_a_snapshot_changes_only_with_the_state_and_survives_a_restart(config: HarbourConfig) -> None:
    first = Harbour(config)
    first.start()
    before = first.snapshot()
    headers = {"PRIVATE-TOKEN": config.gitlab_token}
    requests.get(f"{first.gitlab.url}/api/v4/projects", headers=headers, timeout=10)
    after_reading = first.snapshot()
    member = {"user_id": 2, "access_level": 30}
    members = f"{first.gitlab.url}/api/v4/groups/dev/members"
    requests.post(members, headers=headers, json=member, timeout=10)
    after_writing = first.snapshot()
    first.stop()

    second = Harbour(config)
    second.start()
    after_restart = second.snapshot()
    second.stop()

    assert after_reading == before
    assert after_writing != before
    assert after_restart == after_writing
    assert set(before) == {each.name for each in STAND_INS}


def test_the_configuration_shows_no_secret(config: HarbourConfig) -> None:
    assert "made-up" not in repr(config)
    assert "made.up" not in repr(config)


# -- the control port --------------------------------------------------------------------------------------


@pytest.fixture
def control(harbour: Harbour) -> Iterator[str]:
    service = Control(harbour)
    yield service.start()
    service.stop()


def test_control_lists_calls_since_a_number_without_bodies(harbour: Harbour, control: str) -> None:
    requests.get(harbour.gitlab.url, timeout=10)
    requests.post(f"{harbour.elasticsearch.url}/x", data="canary", timeout=10)

    listed = requests.get(f"{control}/calls", timeout=10)
    last = listed.json()["calls"][-1]
    since = requests.get(f"{control}/calls?since={last['order'] - 1}&writes=1", timeout=10).json()["calls"]

    assert [call["upstream"] for call in listed.json()["calls"]] == ["gitlab", "elasticsearch"]
    assert since == [last]
    assert "canary" not in listed.text


def test_control_injects_lists_and_clears_faults(harbour: Harbour, control: str) -> None:
    wanted = {"upstream": "gitlab", "kind": "status", "status": 502, "times": None}

    added = requests.post(f"{control}/faults", json=wanted, timeout=10)
    broken = requests.get(harbour.gitlab.url, timeout=10)
    listed = requests.get(f"{control}/faults", timeout=10).json()["faults"]
    cleared = requests.delete(f"{control}/faults", timeout=10)

    assert (added.status_code, broken.status_code, cleared.status_code) == (201, 502, 204)
    assert wanted.items() <= listed[0].items()
    assert requests.get(harbour.gitlab.url, timeout=10).status_code == 404


@pytest.mark.parametrize(
    ("fault", "field"),
    [
        ({"upstream": "nowhere", "kind": "reset"}, "upstream"),
        ({"kind": "reset"}, "upstream"),
        ({"upstream": "gitlab"}, "kind"),
        ({"upstream": "gitlab", "kind": "explode"}, "kind"),
        ({"upstream": "gitlab", "kind": "reset", "path": "("}, "path"),
        ({"upstream": "gitlab", "kind": "reset", "times": -1}, "times"),
        ({"upstream": "gitlab", "kind": "reset", "when": "now"}, "when"),
        (["reset"], "body"),
    ],
)
def test_control_names_the_field_at_fault(control: str, fault: object, field: str) -> None:
    answer = requests.post(f"{control}/faults", json=fault, timeout=10)

    assert (answer.status_code, answer.json()["error"]["field"]) == (422, field)


def test_control_shows_health_and_state(harbour: Harbour, control: str) -> None:
    health = requests.get(f"{control}/healthz", timeout=10).json()

    assert health["urls"]["gitlab"] == harbour.gitlab.url
    assert requests.get(f"{control}/state", timeout=10).json() == harbour.snapshot()


# -- the command -------------------------------------------------------------------------------------------


def run_harbour(root: Path) -> dict[str, str]:
    """Open a harbour as a process, read its settings, stop it with SIGTERM, and return them."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "harbour", "--root", str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        settings = dict(process.stdout.readline().strip().split("=", 1) for _ in range(13))
        healthy = requests.get(f"{settings['HARBOUR_CONTROL_URL']}/healthz", timeout=10).status_code
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    assert healthy == 200
    return settings


def test_the_command_prints_its_settings_and_keeps_its_secrets(tmp_path: Path) -> None:
    root = tmp_path / "harbour"

    first, second = run_harbour(root), run_harbour(root)

    assert first["GITLAB_TOKEN"] == second["GITLAB_TOKEN"]
    assert {"JENKINS_AUTH_TOKEN", "ARGO_TOKEN", "KIBANA_PWD", "KIBANA_URL"} <= set(first)
    kept = root / "credentials.json"
    assert json.loads(kept.read_text())["GITLAB_TOKEN"] == first["GITLAB_TOKEN"]
    assert kept.stat().st_mode & 0o077 == 0

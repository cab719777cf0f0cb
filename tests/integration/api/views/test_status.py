"""An administrator sees in one call whether anything is wrong, and in sentences what."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient
from support.api import V1, Api, add_app, add_project
from support.fake_worker import claim, fail
from support.outages import take_down
from support.world import Time

from common.admission import outages
from common.broker import Publisher
from common.database.engine import Database
from common.notifications import outbox, queues
from common.notifications.queues import Target
from common.states import NotificationKind
from common.workflows import Upstream
from worker.presence import Presence

pytestmark = pytest.mark.one_database


@pytest.fixture
def status(chief: FlaskClient, db: Database, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what shows the status; a worker runs, and the broker answers."""
    monkeypatch.setattr(Publisher, "is_resting", False)
    presence = Presence(db, "host:1:a", concurrency=16)

    def read(*, is_running: bool = True) -> Any:
        if is_running:
            presence.show()
        return chief.get(f"{V1}/status").json

    return read


def test_all_is_well_while_a_worker_runs(status: Any) -> None:
    shown = status()

    assert (shown["is_well"], shown["problems"], shown["failures"], shown["checkup"]) == (True, [], [], None)
    (worker,) = shown["workers"]
    assert (worker["name"], worker["is_running"], worker["at_work"], worker["concurrency"]) == ("host:1:a", True, 0, 16)
    assert {each["state"] for each in shown["upstreams"]} == {"open"}


def test_a_broker_that_is_away_is_wrong(status: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Publisher, "is_resting", True)

    (problem,) = status()["problems"]
    assert problem.startswith("The broker cannot be reached.")


def test_a_worker_that_died_is_shown_as_gone(status: Any, time: Time) -> None:
    status()
    time.advance(60)
    shown = status(is_running=False)

    assert shown["problems"][0] == "No worker runs. Start one: celery -A worker worker."
    assert [each["is_running"] for each in shown["workers"]] == [False]


def test_what_runs_belongs_to_its_worker_and_what_is_due_has_its_age(
    api: Api, status: Any, db: Database, time: Time
) -> None:
    app = add_app(api.member("ada"), add_project(api.member("alan")), "storefront").json
    claim(db, app["job_id"], "fork_source")
    time.advance(61)
    shown = status()

    assert [each["at_work"] for each in shown["workers"]] == [0]  # another one has it
    assert max(each["oldest_s"] for each in shown["queues"]) >= 61
    assert any("are due, the oldest for" in each for each in shown["problems"])


def test_failures_of_the_last_hour_have_app_person_and_reason(api: Api, status: Any, db: Database, time: Time) -> None:
    member = api.member("ada")
    job_id = add_app(member, add_project(member), "storefront").json["job_id"]
    for lane in ("fork_source", "fork_helm"):
        fail(db, job_id, lane, "There is something else.\nMore of it.")
        time.advance(1)

    shown = status()
    failure = shown["failures"][1]
    assert [each["step"] for each in shown["failures"]] == ["fork_helm", "fork_source"]
    assert (failure["job_id"], failure["app"], failure["user"], failure["team"]) == (job_id, "storefront", "ada", "dev")
    assert (failure["step"], failure["upstream"]) == ("fork_source", "gitlab")
    assert failure["reason"] == "There is something else."
    assert "1 job has failed in the last hour." in shown["problems"]

    time.advance(3600)
    assert status()["failures"] == []


def test_an_outage_is_wrong_and_a_pause_is_not(status: Any, db: Database, time: Time) -> None:
    outages.pause(db, Upstream.JENKINS, by="chief", reason="Upgrade.", now=time())
    assert status()["is_well"]
    take_down(db, Upstream.GITLAB, "no answer")

    shown = status()
    assert shown["problems"] == ["GitLab is down, and 0 steps wait for it."]
    states = {each["name"]: (each["state"], each["reason"]) for each in shown["upstreams"]}
    assert (states["gitlab"], states["jenkins"]) == (("down", "no answer"), ("paused", "Upgrade."))


def test_a_target_that_accepts_nothing_is_wrong(api: Api, status: Any, db: Database) -> None:
    target = Target(name="ops", host="ops.example.com")
    outbox.announce(db, list(NotificationKind))
    queues.prepare(db, [target])
    take_down(db, Upstream.GITLAB, "no answer")
    queues.Outbox(db, [target]).distribute()
    claimed = queues.claim(db, target)
    assert claimed is not None
    due = queues.next_delivery(db, claimed)
    assert due is not None
    queues.record_refused(db, claimed, due, reason="it answered 500")

    shown = status()
    assert "ops.example.com accepts no notifications, and 1 wait: it answered 500." in shown["problems"]
    (shown_target,) = shown["targets"]
    assert (shown_target["waiting"], shown_target["failures"]) == (1, 1)
    assert api.service.settings.notify_events == ()

"""Administrators see whether the upstreams can be worked with, keep one free, and have everything checked."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient
from support.api import V1, Api
from support.fake_worker import admin, claim, names, step
from support.outages import take_down
from support.world import Time

from common.admission import refusals, slots
from common.admission.outages import Hold
from common.admission.refusals import Cause
from common.database.engine import Database
from common.jobs import attempts, outcomes
from common.states import StepState
from common.workflows import EXTERNAL, Upstream
from worker.doctor.database import DatabaseChecks
from worker.upstreams.check import CheckFailedError

pytestmark = pytest.mark.one_database


@pytest.fixture
def chief(api: Api, db: Database) -> FlaskClient:
    slots.prepare(db, slots.limits_of(api.service.settings))
    return admin(api, db)


def _shown(chief: FlaskClient, name: str = "jenkins") -> dict[str, Any]:
    body = chief.get(f"{V1}/upstreams").json
    return next(each for each in body["upstreams"] if each["name"] == name)


def test_all_are_open_before_anything_has_happened(chief: FlaskClient) -> None:
    answer = chief.get(f"{V1}/upstreams").json

    assert [each["name"] for each in answer["upstreams"]] == list(EXTERNAL)
    assert {each["state"] for each in answer["upstreams"]} == {"open"}
    assert {(each["at_work"], each["at_once"], each["parked"]) for each in answer["upstreams"]} == {(0, 12, 0)}
    assert (answer["checkup"], answer["others"]) == (None, [])


def test_a_pause_holds_steps_back_tells_those_who_wait_and_ends_with_resume(
    api: Api, chief: FlaskClient, db: Database
) -> None:
    job_id = api.sign_up("ada").json["job_id"]

    paused = chief.post(f"{V1}/upstreams/jenkins/pause", json={"reason": "Upgrade to 2.541."})
    held = attempts.claim(db, job_id, "check_jenkins_name", worker="w", limits={})

    assert (paused.status_code, paused.json["state"], paused.json["paused_by"]) == (200, "paused", "chief")
    assert isinstance(held, Hold)
    (waiting,) = api.visitor.get(f"{V1}/jobs/{job_id}").json["waiting_on"]
    assert (waiting["upstream"], waiting["code"], waiting["next_look_at"]) == ("jenkins", "paused", None)
    assert waiting["reason"] == "Jenkins is paused by chief: Upgrade to 2.541."
    assert _shown(chief)["parked"] == 1

    resumed = chief.post(f"{V1}/upstreams/jenkins/resume", json={})
    assert (resumed.json["state"], resumed.json["paused_by"]) == ("open", None)
    claim(db, job_id, "check_jenkins_name")
    assert api.visitor.get(f"{V1}/jobs/{job_id}").json["waiting_on"] == []


def test_pausing_twice_keeps_when_it_began_and_takes_the_new_reason(chief: FlaskClient, time: Time) -> None:
    first = chief.post(f"{V1}/upstreams/gitlab/pause", json={"reason": "Backup."}).json
    time.advance(60)
    second = chief.post(f"{V1}/upstreams/gitlab/pause", json={"reason": "Longer backup."}).json

    assert second["since"] == first["since"]
    assert second["reason"] == "Longer backup."


def test_what_is_no_upstream_cannot_be_paused(chief: FlaskClient) -> None:
    for name in ("slipway", "nexus"):
        answer = chief.post(f"{V1}/upstreams/{name}/pause", json={"reason": "Because."})
        assert (answer.status_code, answer.json["code"]) == (404, "not_found")


def test_an_outage_is_shown_with_what_was_seen_and_the_next_look(chief: FlaskClient, db: Database) -> None:
    take_down(db, Upstream.JENKINS, "Jenkins answered 503")

    shown = _shown(chief)

    assert (shown["state"], shown["reason"]) == ("down", "Jenkins answered 503")
    assert shown["since"] is not None
    assert shown["next_look_at"] > shown["since"]


def test_a_refusal_is_shown_with_cause_remedy_and_next_check_until_it_is_ended_by_hand(
    api: Api, chief: FlaskClient, db: Database, time: Time
) -> None:
    job_id = api.sign_up("ada").json["job_id"]
    cause = Cause(cause="Jenkins refuses Slipway's account", remedy="set JENKINS_AUTH_TOKEN", is_write=False)
    assert refusals.hold(db, Upstream.JENKINS, "0123456789abcdef", cause, time())

    shown = _shown(chief)
    held = attempts.claim(db, job_id, "check_jenkins_name", worker="w", limits={})
    (waiting,) = api.visitor.get(f"{V1}/jobs/{job_id}").json["waiting_on"]

    assert isinstance(held, Hold)
    assert (shown["state"], shown["reason"], shown["remedy"]) == ("refused", cause.cause, cause.remedy)
    assert shown["next_look_at"] > shown["since"]
    assert (waiting["code"], waiting["next_look_at"]) == ("refused", shown["next_look_at"])
    assert waiting["reason"].startswith(f"{cause.cause}. ")
    assert "JENKINS_AUTH_TOKEN" not in waiting["reason"]
    assert _failed_check(db).problem.startswith(cause.cause)
    assert _failed_check(db).remedy == cause.remedy

    resumed = chief.post(f"{V1}/upstreams/jenkins/resume", json={})
    assert (resumed.json["state"], resumed.json["remedy"]) == ("open", None)
    claim(db, job_id, "check_jenkins_name")


def _failed_check(db: Database) -> CheckFailedError:
    """Return how the doctor, on any host, reports the hold."""
    checks = DatabaseChecks(db.engine.url.render_as_string(hide_password=False)).all()
    (check,) = (each for each in checks if each.name == "refusals")
    with pytest.raises(CheckFailedError) as raised:
        check.run()
    return raised.value


def test_a_checkup_is_a_job_and_its_findings_stay_until_the_next(chief: FlaskClient, db: Database) -> None:
    job_id = chief.post(f"{V1}/upstreams/checkups", json={}).json["job_id"]
    found = {
        "group": "Jenkins",
        "check": "version",
        "question": "New enough?",
        "state": "well",
        "said": "2.528",
        "remedy": "",
    }
    report = {"is_well": True, "counts": {}, "checks": [found, {**found, "group": "Broker"}]}
    assert names(db, job_id, StepState.READY) == ["examine"]

    outcomes.record_success(db, claim(db, job_id, "examine"), report)
    chief.post(f"{V1}/upstreams/checkups", json={})  # not over: the one before still counts

    answer = chief.get(f"{V1}/upstreams").json
    assert answer["checkup"] == job_id
    assert answer["checked_at"] is not None
    assert [check["said"] for check in _shown(chief)["checks"]] == ["2.528"]
    assert [check["check"] for check in answer["others"]] == ["version"]
    assert chief.get(f"{V1}/jobs/{job_id}").json["result"] == report


def test_a_checkup_runs_while_upstreams_are_paused(chief: FlaskClient, db: Database) -> None:
    """It is how one finds out whether they can be resumed."""
    chief.post(f"{V1}/upstreams/jenkins/pause", json={"reason": "Upgrade."})
    job_id = chief.post(f"{V1}/upstreams/checkups", json={}).json["job_id"]

    claim(db, job_id, "examine")

    assert step(db, job_id, "examine").state is StepState.RUNNING

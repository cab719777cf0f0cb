"""Leaving: an administrator closes a person's accounts, and the person is out at once."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient
from support.api import PASSWORD, V1, Api, add_app, add_project, without_request_id
from support.fake_worker import claim, count_jobs, fail, job, succeed

from common.database.engine import Database
from common.database.models import Secret
from common.jobs import outcomes
from common.jobs.claims import ClaimLostError
from common.states import JobState

pytestmark = pytest.mark.one_database


@pytest.fixture
def signup(api: Api) -> str:
    job_id: str = api.sign_up("grace").json["job_id"]
    return job_id


def test_a_person_who_leaves_is_out_at_once_on_every_device(
    api: Api, chief: FlaskClient, db: Database, signup: str
) -> None:
    succeed(db, signup)
    devices = [api.bearer(api.token("grace")) for _ in range(2)]

    answer = chief.delete(f"{V1}/users/grace")

    assert answer.status_code == 202
    assert [device.get(f"{V1}/me").status_code for device in devices] == [401, 401]
    wanted = {"login": "grace", "team": "dev"}
    left = job(db, answer.json["job_id"])
    assert (left.kind, left.input, left.subject_id) == ("offboard", wanted, job(db, signup).subject_id)


def test_who_has_left_logs_in_no_more_and_only_the_right_password_learns_why(
    api: Api, chief: FlaskClient, db: Database, signup: str
) -> None:
    succeed(db, signup)
    chief.delete(f"{V1}/users/grace")

    own = api.visitor.post(f"{V1}/login", json={"id": "grace", "password": PASSWORD})
    left = api.visitor.post(f"{V1}/login", json={"id": "grace", "password": "not her password"})
    unknown = api.visitor.post(f"{V1}/login", json={"id": "nobody", "password": PASSWORD})

    assert (own.status_code, own.json["code"]) == (403, "account_closed")
    assert (left.status_code, unknown.status_code) == (401, 401)
    assert without_request_id(left) == without_request_id(unknown)


def test_asking_again_while_it_runs_is_the_same_job(chief: FlaskClient, db: Database, signup: str) -> None:
    succeed(db, signup)

    first, second = (chief.delete(f"{V1}/users/grace").json["job_id"] for _ in range(2))
    succeed(db, first)
    third = chief.delete(f"{V1}/users/grace")

    assert first == second
    assert third.status_code == 202
    assert count_jobs(db, "offboard") == 2


def test_a_sign_up_that_runs_is_waited_for(api: Api, chief: FlaskClient, signup: str) -> None:
    answer = chief.delete(f"{V1}/users/grace")

    assert (answer.status_code, answer.json["code"], answer.json["job_id"]) == (409, "busy", signup)
    assert "The sign-up of this person is still running" in answer.json["detail"]
    assert api.token("grace"), "nothing was done by halves"


def test_nobody_puts_off_their_own_off_boarding_with_a_new_password(
    api: Api, chief: FlaskClient, db: Database, signup: str
) -> None:
    succeed(db, signup)
    grace = api.bearer(api.token("grace"))
    change = grace.put(f"{V1}/me/password", json={"password": PASSWORD, "new_password": "looms weave flowers"})
    running = claim(db, change.json["job_id"], "set_jenkins_password")

    answer = chief.delete(f"{V1}/users/grace")

    assert (answer.status_code, job(db, answer.json["job_id"]).kind) == (202, "offboard")
    assert job(db, change.json["job_id"]).state is JobState.CANCELLED
    assert db.read(lambda session: session.get(Secret, (change.json["job_id"], "password"))) is None
    assert grace.get(f"{V1}/me").status_code == 401
    with pytest.raises(ClaimLostError):
        outcomes.record_success(db, running, {})


@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_a_sign_up_that_came_to_nothing_is_no_hindrance(
    chief: FlaskClient, db: Database, signup: str, end: str
) -> None:
    if end == "failed":
        fail(db, signup, "create_gitlab_user")
        succeed(db, signup)
    else:
        chief.post(f"{V1}/jobs/{signup}/cancel", json={})
    assert job(db, signup).state == end

    assert chief.delete(f"{V1}/users/grace").status_code == 202


def test_a_failed_sign_up_of_who_has_left_is_not_taken_up_again(
    api: Api, chief: FlaskClient, db: Database, signup: str
) -> None:
    fail(db, signup, "create_gitlab_user")
    succeed(db, signup)
    leaving = chief.delete(f"{V1}/users/grace").json["job_id"]
    succeed(db, leaving)

    answer = api.visitor.post(f"{V1}/jobs/{signup}/retry", json={"password": PASSWORD})

    assert answer.status_code == 409
    assert job(db, signup).state is JobState.FAILED


@pytest.mark.parametrize("login", ["nobody", "Grace", "grace%20", "gr%C3%A5ce", "%00", "'"])
def test_an_unknown_person_is_not_found(chief: FlaskClient, db: Database, signup: str, login: str) -> None:
    succeed(db, signup)

    assert chief.delete(f"{V1}/users/{login}").status_code == 404
    assert count_jobs(db, "offboard") == 0


def test_the_team_s_things_outlive_who_made_them(api: Api, chief: FlaskClient, db: Database, signup: str) -> None:
    succeed(db, signup)
    member = api.bearer(api.token("grace"))
    app_id = add_app(member, add_project(member), "compiler").json["app_id"]

    chief.delete(f"{V1}/users/grace")

    assert api.member("hopper").get(f"{V1}/app/{app_id}").status_code == 200

"""Typical durations: the remaining time of a job and the delay between polls follow from finished steps alone."""

from __future__ import annotations

from support.api import V1, Api
from support.fake_worker import claim, pass_checks
from support.world import Time

from api.presentation.durations import MIN_SAMPLES, StepDurations
from common.database.engine import Database
from common.jobs import outcomes
from common.workflows import NAME_CHECKS, SIGNUP

GITLAB, GROUP = "create_gitlab_user", "join_gitlab_group"
TAKES_S = {GITLAB: 8.0, GROUP: 4.0, "create_jenkins_user": 2.0, "assign_jenkins_role": 1.0, "create_kibana_user": 3.0}
AFTER_THE_CHECKS = [step for step in SIGNUP.steps if step.name not in NAME_CHECKS]
CHECKS_TAKE_S = 2.0


def _run_through(api: Api, db: Database, time: Time, login: str, *, factor: float = 1.0) -> str:
    """Sign somebody up; every step takes its time, one after the other."""
    job_id: str = api.sign_up(login).json["job_id"]
    checks = [claim(db, job_id, name) for name in NAME_CHECKS]
    time.advance(CHECKS_TAKE_S * factor)
    for claimed in checks:
        outcomes.record_success(db, claimed, {})
    for step in AFTER_THE_CHECKS:
        claimed = claim(db, job_id, step.name)
        time.advance(TAKES_S[step.name] * factor)
        outcomes.record_success(db, claimed, {})
    return job_id


def _learn(api: Api, db: Database, time: Time) -> None:
    for number in range(8):
        _run_through(api, db, time, f"grace-{number}")
    for number in range(8, 10):
        _run_through(api, db, time, f"grace-{number}", factor=3)


def test_a_new_job_takes_as_long_as_its_slowest_lane_usually_does(api: Api, db: Database, time: Time) -> None:
    _learn(api, db, time)

    job = api.visitor.get(f"{V1}/jobs/{api.sign_up('ada').json['job_id']}").json

    assert job["progress"] == {"done": 0, "total": 8, "remaining": {"p50_s": 14.0, "p90_s": 42.0}}


def test_what_has_run_already_counts(api: Api, db: Database, time: Time) -> None:
    _learn(api, db, time)
    job_id = api.sign_up("ada").json["job_id"]
    claim(db, job_id, GITLAB)
    time.advance(5)

    remaining = api.visitor.get(f"{V1}/jobs/{job_id}").json["progress"]["remaining"]

    assert remaining == {"p50_s": 7.0, "p90_s": 31.0}


def test_a_client_is_told_to_look_when_a_change_is_likely(api: Api, db: Database, time: Time) -> None:
    _learn(api, db, time)
    job_id = api.sign_up("ada").json["job_id"]
    pass_checks(db, job_id)
    claimed = [claim(db, job_id, lane.steps[1].name) for lane in SIGNUP.lanes]
    for each in claimed[1:]:
        outcomes.record_success(db, each, {})
    for name in ("assign_jenkins_role",):
        outcomes.record_success(db, claim(db, job_id, name), {})

    answer = api.visitor.get(f"{V1}/jobs/{job_id}")
    unchanged = api.visitor.get(f"{V1}/jobs/{job_id}", headers={"If-None-Match": answer.headers["ETag"]})

    assert (answer.headers["Retry-After"], unchanged.headers["Retry-After"]) == ("8", "8")


def test_a_job_that_waits_says_when_it_looks_again(api: Api, db: Database, time: Time) -> None:
    job_id = api.sign_up("ada").json["job_id"]
    for lane in SIGNUP.lanes:
        claimed = claim(db, job_id, lane.steps[0].name)
        outcomes.record_retry(db, claimed, code="upstream_unavailable", reason="Away.", delay_s=20)

    answer = api.visitor.get(f"{V1}/jobs/{job_id}")

    assert answer.headers["Retry-After"] == "20"
    assert [wait["reason"] for wait in answer.json["waiting_on"]] == ["Away."] * 3
    time.advance(3600)
    assert api.visitor.get(f"{V1}/jobs/{job_id}").headers["Retry-After"] == "1"


def test_a_wait_of_hours_is_looked_at_twice_a_minute(api: Api, db: Database) -> None:
    job_id = api.sign_up("ada").json["job_id"]
    for lane in SIGNUP.lanes:
        outcomes.record_retry(
            db, claim(db, job_id, lane.steps[0].name), code="upstream_unavailable", reason="Away.", delay_s=9999
        )

    assert api.visitor.get(f"{V1}/jobs/{job_id}").headers["Retry-After"] == "30"


def test_the_202_says_when_the_first_look_is_worth_it(api: Api, db: Database, time: Time) -> None:
    assert api.sign_up("ada").headers["Retry-After"] == "1"
    _learn(api, db, time)
    api.service.durations.of("signup")

    assert api.sign_up("hopper").headers["Retry-After"] == "2"


def test_too_few_jobs_tell_nothing(api: Api, db: Database, time: Time) -> None:
    for number in range(MIN_SAMPLES - 1):
        _run_through(api, db, time, f"grace-{number}")

    job = api.visitor.get(f"{V1}/jobs/{api.sign_up('ada').json['job_id']}").json

    assert job["progress"]["remaining"] is None


def test_a_job_that_is_over_has_nothing_left(api: Api, db: Database, time: Time) -> None:
    _learn(api, db, time)
    answer = api.visitor.get(f"{V1}/jobs/{_run_through(api, db, time, 'ada')}")

    assert answer.json["progress"]["remaining"] is None
    assert "Retry-After" not in answer.headers


def test_what_was_learnt_is_asked_for_once_a_minute(api: Api, db: Database, time: Time) -> None:
    at_s = 0.0
    history = StepDurations(db, clock_s=lambda: at_s)
    assert history.of("signup") == {}
    _learn(api, db, time)

    at_s = 59.0
    assert history.of("signup") == {}
    at_s = 60.0
    assert set(history.of("signup")) == {*TAKES_S, *NAME_CHECKS}


def test_a_workflow_that_nobody_knows_takes_nobody_knows_how_long(db: Database) -> None:
    durations = StepDurations(db)

    assert (durations.of("retired"), durations.first_poll_delay_s("retired")) == ({}, 1)

"""Failed jobs taken up again all at once: those that match and no others, each by the rules of its own retry."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from time import sleep
from typing import Any

import pytest
from flask import g
from flask.testing import FlaskClient
from sqlalchemy import delete, select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session
from support import bulk_data
from support.api import V1, Api, remove_app, row_counts
from support.fake_worker import ABSENT, add_provisioned, admin, claim, fail, job, names, succeed
from support.world import Time
from werkzeug.test import TestResponse

from api.views import bulk_retry
from common.broker import Publisher, celery_app
from common.database import time_budget
from common.database.engine import Database
from common.database.models import App, Job, Secret, Step, User
from common.jobs import interventions, outcomes
from common.jobs.interventions import NotPossibleError
from common.jobs.lane_messages import LaneMessage
from common.states import JobState, StepState

PATH = f"{V1}/jobs/retry"
KEY = {"Idempotency-Key": "5b1e4c0e-0000-4000-8000-000000000001"}


@pytest.fixture
def time() -> Time:
    """A clock of this test's own: ids have the time of the machine, and `since` looks at both."""
    return Time()


def _failed_build(member: FlaskClient, db: Database, name: str, *, step: str = "start_build") -> str:
    """Make an app whose only build has failed."""
    return _fail_build(member, db, add_provisioned(db, member, name, f"{name}s"), step=step)


def _fail_build(member: FlaskClient, db: Database, app_id: str, *, step: str = "start_build") -> str:
    job_id: str = member.post(f"{V1}/app/{app_id}/builds", json={}).json["job_id"]
    outputs = {"await_executor": {"number": 7, "url": "http://jenkins.invalid/job/7/"}}
    succeed(db, job_id, but=(step,), **outputs)
    fail(db, job_id, step)
    return job_id


def _retried(answer: TestResponse) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [each["job_id"] for each in answer.json["retried"]]


def _refused(answer: TestResponse) -> dict[str, str]:
    return {each["job_id"]: each["code"] for each in answer.json["refused"]}


def _all_jobs(db: Database) -> dict[str, tuple[JobState, int]]:
    rows = db.read(lambda session: session.scalars(select(Job)).all())
    return {row.id: (row.state, row.version) for row in rows}


# -- what is taken up ---------------------------------------------------------------------------------------------


def test_all_that_failed_go_on_newest_first_and_nothing_else_moves(
    dev: FlaskClient, chief: FlaskClient, db: Database
) -> None:
    failed = [_failed_build(dev, db, name) for name in ("compiler", "linker")]
    before = _all_jobs(db)

    answer = chief.post(PATH, json={})

    assert answer.json == {
        "retried": [{"job_id": each, "status_url": f"{V1}/jobs/{each}"} for each in reversed(failed)],
        "refused": [],
        "more": False,
        "next": None,
    }
    assert {job_id: state for job_id, state in _all_jobs(db).items() if before[job_id] != state}.keys() == set(failed)
    for each in failed:
        assert (job(db, each).state, names(db, each, StepState.READY)) == (JobState.RUNNING, ["start_build"])


def test_removals_go_on_only_where_they_are_named(dev: FlaskClient, chief: FlaskClient, db: Database) -> None:
    app_id = add_provisioned(db, dev)
    removal = remove_app(dev, app_id).json["job_id"]
    fail(db, removal, "delete_application")
    succeed(db, removal)

    unnamed = [_retried(chief.post(PATH, json=which)) for which in ({}, {"app_id": app_id}, {"code": "rejected"})]
    named = _retried(chief.post(PATH, json={"kind": "deprovision"}))

    assert (unnamed, named) == ([[], [], []], [removal])


def test_when_locked_rows_use_up_the_time_the_rest_is_not_tried_and_what_was_retried_is_told(
    api: Api, dev: FlaskClient, db: Database
) -> None:
    failed = [_failed_build(dev, db, name) for name in ("compiler", "linker", "loader", "parser")]
    tried: list[str] = []

    def retry_one(session: Session, job_id: str) -> Job:
        tried.append(job_id)
        if job_id == failed[3]:
            return interventions.retry(session, job_id, db.now())
        with time_budget.spending():
            sleep(0.5)
        raise OperationalError("SELECT", None, Exception("the row is locked"))

    with api.app.test_request_context():
        g.idempotent_request = None
        time_budget.begin(0.4)
        try:
            answer = bulk_retry.retry_all(bulk_retry.RetryAll(), retry_one)
            is_spent = time_budget.is_spent()
        finally:
            time_budget.end()

    assert isinstance(answer.body, bulk_retry.Retries)
    assert [each.job_id for each in answer.body.retried] == [failed[3]]
    assert {each.job_id: each.code for each in answer.body.refused} == dict.fromkeys(failed[:3], "unavailable")
    assert tried == [failed[3], failed[2]]
    assert not is_spent, "there is time to store the answer"


def test_what_goes_on_is_sent(api: Api, dev: FlaskClient, chief: FlaskClient, db: Database) -> None:
    class Postbox(Publisher):
        lanes: list[LaneMessage]

        def send(self, lanes: Any) -> int:
            self.lanes = list(lanes)
            return len(self.lanes)

    postbox = Postbox(celery_app(api.service.settings))
    failed = [_failed_build(dev, db, name) for name in ("compiler", "linker")]
    api.app.extensions["slipway"] = replace(api.service, publisher=postbox)

    chief.post(PATH, json={})

    assert {lane.job_id for lane in postbox.lanes} == set(failed)
    assert {lane.steps for lane in postbox.lanes} == {("start_build", "await_executor", "await_result")}
    chief.post(PATH, json={"dry_run": True})
    assert postbox.lanes == []


def test_each_filter_narrows_and_all_of_them_together(
    api: Api, dev: FlaskClient, chief: FlaskClient, db: Database, time: Time
) -> None:
    linus = api.member("linus", team="ops")
    first = _failed_build(dev, db, "compiler")
    time.advance(60)
    second = _failed_build(linus, db, "linker", step="await_result")
    time.advance(60)
    app_id, since = job(db, first).app_id, time().isoformat()
    drift = dev.get(f"{V1}/app/{app_id}/drift").json["job_id"]
    outcomes.record_failure(db, claim(db, drift, "compare_app"), code="conflict", reason="It is not ours.")

    def found(**which: Any) -> set[str]:
        return set(_retried(chief.post(PATH, json={"dry_run": True, **which})))

    assert found() == {first, second, drift}
    assert found(kind="build") == {first, second}
    assert found(app_id=app_id) == found(team="dev") == found(user="grace") == {first, drift}
    assert found(team="ops") == found(user="linus") == {second}
    assert found(code="rejected") == {first, second}
    assert found(code="conflict") == found(since=since) == {drift}
    assert found(kind="build", team="dev", user="grace", code="rejected", app_id=app_id) == {first}
    nothing: list[dict[str, str]] = [
        {"user": "nobody"}, {"app_id": ABSENT}, {"kind": "signup"}, {"code": "busy"},
        {"app_id": str(app_id), "team": "ops"}, {"since": since, "kind": "build"},
    ]  # fmt: skip
    assert [found(**which) for which in nothing] == [set()] * len(nothing)


def test_what_time_has_passed_over_does_not_match(api: Api, dev: FlaskClient, chief: FlaskClient, db: Database) -> None:
    app_id = add_provisioned(db, dev, "compiler", "compilers")
    older, newer = (_fail_build(dev, db, app_id) for _ in range(2))
    overtaken = _failed_build(dev, db, "linker")
    succeed(db, dev.post(f"{V1}/app/{job(db, overtaken).app_id}/builds", json={}).json["job_id"])
    of_removed = _failed_build(dev, db, "loader")
    gone = update(App).where(App.id == job(db, of_removed).app_id).values(claimed_name=None)
    of_left = api.sign_up("hopper").json["job_id"]
    succeed(db, of_left, but=("assign_jenkins_role",))
    fail(db, of_left, "assign_jenkins_role")
    left = update(User).where(User.login == "hopper").values(left_at=db.now())
    db.transaction(lambda session: [session.execute(statement) for statement in (gone, left)])

    answer = chief.post(PATH, json={})

    assert (_retried(answer), _refused(answer)) == ([newer], {})
    assert {job(db, each).state for each in (older, overtaken, of_removed, of_left)} == {JobState.FAILED}


def test_a_refusal_does_not_stop_the_others(api: Api, dev: FlaskClient, chief: FlaskClient, db: Database) -> None:
    first, busy, last = (_failed_build(dev, db, name) for name in ("compiler", "linker", "loader"))
    remove_app(dev, job(db, busy).app_id)
    without_password = api.sign_up("hopper").json["job_id"]
    succeed(db, without_password, but=("create_kibana_user",))
    fail(db, without_password, "create_kibana_user")
    db.transaction(lambda session: session.execute(delete(Secret)))

    answer = chief.post(PATH, json={})

    assert _retried(answer) == [last, first]
    assert _refused(answer) == {busy: "busy", without_password: "password_needed"}
    assert all(each["reason"].endswith(".") for each in answer.json["refused"])
    single = chief.post(f"{V1}/jobs/{busy}/retry", json={}).json
    assert [each["reason"] for each in answer.json["refused"] if each["job_id"] == busy] == [single["detail"]]


def test_many_are_taken_up_part_by_part(dev: FlaskClient, chief: FlaskClient, db: Database) -> None:
    failed = [_failed_build(dev, db, f"app-{number}") for number in range(5)]
    remove_app(dev, job(db, failed[4]).app_id)  # refused each time: the cursor leads past it

    first = chief.post(PATH, json={"limit": 2})
    second = chief.post(PATH, json={"limit": 2, "cursor": first.json["next"]})
    third = chief.post(PATH, json={"limit": 2, "cursor": second.json["next"]})

    assert [answer.json["more"] for answer in (first, second, third)] == [True, True, False]
    assert (_retried(first), list(_refused(first))) == ([failed[3]], [failed[4]])
    assert (_retried(second), _retried(third), third.json["next"]) == ([failed[2], failed[1]], [failed[0]], None)
    assert chief.post(PATH, json={"limit": 5}).json["more"] is False


def test_they_are_found_among_many(chief: FlaskClient, db: Database) -> None:
    bulk_data.fill(db, 10_000)

    answer = chief.post(PATH, json={"dry_run": True, "limit": 100, "kind": "deploy", "code": "rejected"})

    assert {*_retried(answer), *_refused(answer)} == _wanted(db, "deploy", "rejected")
    assert len(_retried(answer)) > 1
    assert answer.json["more"] is False


def _wanted(db: Database, kind: str, code: str) -> set[str]:
    """Return the failed jobs of that code that no newer one has overtaken, by looking at each."""
    of_kind = (
        select(Job.id, Job.state, Job.app_id, App.claimed_name, Step.code).where(Job.kind == kind).order_by(Job.id)
    )
    whole = of_kind.join(App, App.id == Job.app_id).join(Step, Step.job_id == Job.id)
    newest = {row.app_id: row for row in db.read(lambda session: session.execute(whole).all())}
    return {row.id for row in newest.values() if row.state is JobState.FAILED and row.code == code and row.claimed_name}


# -- dry run ------------------------------------------------------------------------------------------------------


def test_a_dry_run_changes_nothing_and_foretells_what_happens(
    dev: FlaskClient, chief: FlaskClient, db: Database
) -> None:
    first, busy = _failed_build(dev, db, "compiler"), _failed_build(dev, db, "linker")
    remove_app(dev, job(db, busy).app_id)
    app_id = job(db, first).app_id
    repair = dev.post(f"{V1}/app/{app_id}/reconcile", json={}).json["job_id"]
    fail(db, repair, "fork_source")
    succeed(db, repair)
    assert job(db, repair).state is JobState.FAILED
    before, counts = _all_jobs(db), row_counts(db)

    dry = chief.post(PATH, json={"dry_run": True})
    untouched = (_all_jobs(db), row_counts(db))
    real = chief.post(PATH, json={})

    assert untouched == (before, counts)
    assert dry.json == real.json
    assert (_retried(real), _refused(real)) == ([repair], {first: "busy", busy: "busy"}), (
        "the one is in the other's way"
    )


# -- repetition ---------------------------------------------------------------------------------------------------


def test_a_repetition_gets_the_first_answer_and_does_nothing(
    dev: FlaskClient, chief: FlaskClient, db: Database
) -> None:
    failed = _failed_build(dev, db, "compiler")
    first = chief.post(PATH, json={}, headers=KEY)
    fail(db, failed, "start_build")
    before = _all_jobs(db)

    again = chief.post(PATH, json={}, headers=KEY)
    other = chief.post(PATH, json={"limit": 7}, headers=KEY)

    assert (again.status_code, again.data, again.headers["Idempotency-Replayed"]) == (200, first.data, "true")
    assert (other.status_code, other.json["code"]) == (422, "key_reused")
    assert _all_jobs(db) == before


def test_of_two_at_once_each_job_goes_to_one(api: Api, dev: FlaskClient, db: Database) -> None:
    admin(api, db)
    failed = {_failed_build(dev, db, f"app-{number}") for number in range(6)}
    token, gate = api.token("chief"), Barrier(2)

    def send(_: int) -> TestResponse:
        client = api.bearer(token)
        gate.wait()
        return client.post(PATH, json={})

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(send, range(2)))

    retried = [job_id for answer in answers for job_id in _retried(answer)]
    assert sorted(retried) == sorted(failed)
    assert {code for answer in answers for code in _refused(answer).values()} <= {"not_failed", "busy"}


@pytest.mark.parametrize("db_url", ["mariadb"], indirect=True)  # on SQLite nobody writes in between
def test_a_job_is_judged_as_it_is_when_it_is_locked(dev: FlaskClient, db: Database) -> None:
    failed = _failed_build(dev, db, "compiler")

    def late(session: Any) -> None:
        assert session.get_one(Job, failed).state is JobState.FAILED
        db.transaction(lambda other: interventions.retry(other, failed, db.now()))
        interventions.retry(session, failed, db.now())

    with pytest.raises(NotPossibleError, match="Only a failed job"):
        db.transaction(late)


# -- who may, and what is refused ---------------------------------------------------------------------------------


def test_only_administrators_may(api: Api, dev: FlaskClient, chief: FlaskClient, db: Database) -> None:
    failed = _failed_build(dev, db, "compiler")

    answers = [client.post(PATH, json={}) for client in (api.app.test_client(use_cookies=False), dev)]

    assert [(answer.status_code, answer.json["code"]) for answer in answers] == [
        (401, "not_logged_in"),
        (403, "not_admin"),
    ]
    assert job(db, failed).state is JobState.FAILED
    assert chief.post(PATH, json={"team": "nobodys"}).status_code == 404


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", "repair"), ("kind", 7), ("app_id", "x"), ("team", ""), ("team", "é"), ("user", "É"),
        ("code", "No"), ("code", ""), ("since", "2026-05-17"), ("since", 1779019200), ("cursor", "x"), ("limit", 0),
        ("limit", 101), ("limit", "5"), ("limit", 5.5), ("limit", True), ("dry_run", "true"), ("dry_run", 1),
        ("state", "failed"), ("password", "engines weave numbers"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
def test_a_wrong_field_is_named_and_nothing_is_taken_up(
    chief: FlaskClient, db: Database, field: str, value: object
) -> None:
    before = _all_jobs(db)

    answer = chief.post(PATH, json={field: value})

    assert (answer.status_code, [error["field"] for error in answer.json["errors"]]) == (422, [field])
    assert _all_jobs(db) == before


def test_it_is_not_taken_for_a_job(dev: FlaskClient, db: Database) -> None:
    failed = _failed_build(dev, db, "compiler")

    assert dev.get(PATH).status_code == 404
    assert dev.post(f"{V1}/jobs/{failed}/retry", json={}).status_code == 202
    assert dev.post(f"{V1}/jobs/retry/retry", json={}).status_code == 404

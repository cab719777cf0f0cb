"""An app's later life: planned, compared, repaired, removed, and its name free again."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient
from support.api import V1, Api, add_app, add_project, remove_app, row_counts
from support.fake_worker import add_provisioned, admin, count_jobs, fail, job, record, succeed
from werkzeug.test import TestResponse

from common.database.engine import Database
from common.database.models import App
from common.states import JobState, Provenance

pytestmark = pytest.mark.one_database


@pytest.fixture
def app_id(dev: FlaskClient, db: Database) -> str:
    return add_provisioned(db, dev)


def _plan(dev: FlaskClient, project_id: str, name: str) -> TestResponse:
    body = {"project_id": project_id, "name": name, "type": "Flask"}
    return dev.post(f"{V1}/app", json=body, query_string={"dry_run": "true"})


def _release(db: Database, app_id: str) -> None:
    """Do what the last step of a removal does."""

    def work(session):  # type: ignore[no-untyped-def] # a closure of one line
        session.get_one(App, app_id).claimed_name = None

    db.transaction(work)


# -- remove -------------------------------------------------------------------------------------------------------


def test_a_dry_run_says_what_goes_last_made_first_and_what_stays_and_why(
    dev: FlaskClient, db: Database, app_id: str
) -> None:
    made_by = dev.get(f"{V1}/app/{app_id}").json["job_id"]
    record(db, made_by, "project", "dev/compiler", Provenance.CREATED)
    record(db, made_by, "project", "dev/compiler_helm", Provenance.ADOPTED)
    record(db, made_by, "pipeline", "dev/compiler_dev", Provenance.INTENDED, upstream="jenkins")
    record(db, made_by, "application", "compiler", Provenance.GONE, upstream="argocd")
    record(db, made_by, "build", made_by, Provenance.CREATED, upstream="jenkins")
    before = row_counts(db)

    answer = dev.delete(f"{V1}/app/{app_id}", query_string={"dry_run": "true"})

    assert answer.status_code == 200
    assert [(item["name"], item["reason"]) for item in answer.json["goes"]] == [
        ("dev/compiler_dev", "Possibly created by Slipway."),
        ("dev/compiler", "Created by Slipway."),
    ]
    assert [(item["name"], item["reason"]) for item in answer.json["stays"]] == [
        ("compiler", "It no longer exists, or was never created."),
        ("dev/compiler_helm", "It existed before Slipway used it."),
    ]
    assert answer.json["goes"][1]["url"] == "https://git.example.com/dev/compiler"
    look = job(db, answer.json["job_id"])
    assert (look.kind, look.app_id) == ("removal_preview", app_id)
    after = row_counts(db)
    assert {name: after[name] - before[name] for name in after if after[name] != before[name]} == {
        "jobs": 1,
        "steps": 1,
        "events": 1,
        "actions": 1,
    }


@pytest.mark.parametrize("confirm", [None, "", "Compiler", "compilers", " compiler"])
def test_nothing_is_removed_without_the_name_of_the_app(
    dev: FlaskClient, db: Database, app_id: str, confirm: str | None
) -> None:
    before = row_counts(db)

    answer = dev.delete(f"{V1}/app/{app_id}", query_string={"confirm": confirm} if confirm is not None else {})

    assert (answer.status_code, answer.json["code"]) == (422, "invalid_fields")
    (error,) = answer.json["errors"]
    assert (error["field"], "?confirm=compiler" in error["message"]) == ("confirm", True)
    assert row_counts(db) == before


def test_only_an_administrator_removes_repositories_for_good(
    api: Api, dev: FlaskClient, db: Database, app_id: str
) -> None:
    refused = remove_app(dev, app_id, purge="true")
    accepted = remove_app(admin(api, db), app_id, purge="true")

    assert (refused.status_code, refused.json["code"]) == (403, "not_admin")
    assert accepted.status_code == 202
    assert job(db, accepted.json["job_id"]).input["purge"] == "true"


def test_a_removal_for_good_is_another_wish_than_one_that_keeps(
    api: Api, dev: FlaskClient, db: Database, app_id: str
) -> None:
    remove_app(dev, app_id)

    assert remove_app(admin(api, db), app_id, purge="true").json["code"] == "busy"


def test_a_removal_is_one_job_however_often_it_is_asked_for(dev: FlaskClient, db: Database, app_id: str) -> None:
    first, second = (remove_app(dev, app_id) for _ in range(2))

    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json["job_id"] == second.json["job_id"]
    assert count_jobs(db, "deprovision") == 1


@pytest.mark.parametrize("busy_with", ["builds", "deploys", "reconcile"])
@pytest.mark.parametrize("wanted", ["DELETE", "reconcile"])
def test_what_works_alone_waits_for_what_runs(
    dev: FlaskClient, db: Database, app_id: str, busy_with: str, wanted: str
) -> None:
    body = {"force": True} if busy_with == "deploys" else {}  # nothing has been built
    running = dev.post(f"{V1}/app/{app_id}/{busy_with}", json=body).json["job_id"]
    before = row_counts(db)

    path = f"{V1}/app/{app_id}"
    answer = remove_app(dev, app_id) if wanted == "DELETE" else dev.post(f"{path}/reconcile", json={})

    if wanted == busy_with:
        assert (answer.status_code, answer.json["job_id"]) == (202, running)
        before["actions"] += 1  # that it was asked for again
    else:
        assert (answer.status_code, answer.json["code"], answer.json["job_id"]) == (409, "busy", running)
    assert row_counts(db) == before


@pytest.mark.parametrize("wanted", ["builds", "deploys", "reconcile"])
def test_nothing_begins_while_an_app_is_removed(dev: FlaskClient, app_id: str, wanted: str) -> None:
    removal = remove_app(dev, app_id).json["job_id"]

    answer = dev.post(f"{V1}/app/{app_id}/{wanted}", json={})

    assert (answer.status_code, answer.json["code"], answer.json["job_id"]) == (409, "busy", removal)


def test_an_app_that_was_never_finished_can_be_removed(dev: FlaskClient, db: Database) -> None:
    made = add_app(dev, add_project(dev), "compiler").json
    assert remove_app(dev, made["app_id"]).json["code"] == "busy"
    fail(db, made["job_id"], "fork_source")
    succeed(db, made["job_id"])

    assert remove_app(dev, made["app_id"]).status_code == 202


def test_a_removed_app_is_not_found_and_its_name_is_free(dev: FlaskClient, db: Database, app_id: str) -> None:
    project_id = dev.get(f"{V1}/app/{app_id}").json["project_id"]
    removal = remove_app(dev, app_id).json["job_id"]
    assert add_app(dev, project_id, "compiler").status_code == 409
    _release(db, app_id)
    succeed(db, removal)

    again = add_app(dev, project_id, "compiler")

    path = f"{V1}/app/{app_id}"
    posts = [dev.post(f"{path}/{each}", json={}) for each in ("builds", "deploys", "rollback", "reconcile")]
    gets = [dev.get(each) for each in (f"{path}/drift", f"{path}/deploys", f"{V1}/jenkins/{app_id}")]
    assert [answer.status_code for answer in (*posts, *gets, dev.delete(path))] == [404] * 8
    assert dev.get(path).json["state"] == "removed"
    assert (again.status_code, again.json["app_id"] != app_id) == (202, True)
    assert [app["app_id"] for app in dev.get(f"{V1}/apps/{project_id}").json["apps"]] == [again.json["app_id"]]
    assert dev.get(f"{V1}/jobs/{removal}").json["state"] == "succeeded"


# -- compare, repair, plan ----------------------------------------------------------------------------------------


def test_a_comparison_s_result_is_the_job_s(dev: FlaskClient, db: Database, app_id: str) -> None:
    answer = dev.get(f"{V1}/app/{app_id}/drift")
    path = answer.headers["Location"]
    before = dev.get(path).json["result"]
    found = {"drifted": True, "repairable": True, "parts": [{"step": "create_pipeline", "state": "missing"}]}

    succeed(db, answer.json["job_id"], compare_app=found)

    assert (answer.status_code, before, dev.get(path).json["result"]) == (202, None, found)


@pytest.mark.parametrize("busy_with", ["builds", "reconcile"])
def test_a_comparison_is_in_nobody_s_way(dev: FlaskClient, app_id: str, busy_with: str) -> None:
    assert dev.get(f"{V1}/app/{app_id}/drift").status_code == 202

    assert dev.post(f"{V1}/app/{app_id}/{busy_with}", json={}).status_code == 202
    assert dev.get(f"{V1}/app/{app_id}/drift").status_code == 202


def test_a_repair_makes_an_unfinished_app_complete(dev: FlaskClient, db: Database) -> None:
    made = add_app(dev, add_project(dev), "compiler").json
    fail(db, made["job_id"], "fork_source")
    succeed(db, made["job_id"])
    repair = dev.post(f"{V1}/app/{made['app_id']}/reconcile", json={})
    succeed(db, repair.json["job_id"])

    build = dev.post(f"{V1}/app/{made['app_id']}/builds", json={})

    assert (repair.status_code, build.status_code) == (202, 202)
    assert job(db, build.json["job_id"]).input["gitlab_address"] == "http://gitlab.invalid/dev/compiler.git"


def test_a_plan_makes_no_app_and_says_in_its_result_what_would_be(dev: FlaskClient, db: Database) -> None:
    project_id = add_project(dev)
    answer = _plan(dev, project_id, "compiler")
    job_id = answer.json["job_id"]
    foreseen = {"possible": True, "steps": [{"step": "fork_source", "verdict": "create"}]}
    succeed(db, job_id, foresee_app=foreseen)

    shown = dev.get(f"{V1}/jobs/{job_id}").json

    assert (answer.status_code, answer.json["app_id"], row_counts(db)["apps"]) == (202, None, 0)
    assert (shown["kind"], shown["result"]) == ("plan", foreseen)
    assert add_app(dev, project_id, "compiler").status_code == 202


def test_a_plan_for_a_taken_name_is_refused(dev: FlaskClient, db: Database, app_id: str) -> None:
    before = row_counts(db)
    own = dev.get(f"{V1}/app/{app_id}").json["project_id"]

    answer = _plan(dev, own, "compiler")

    assert (answer.status_code, answer.json["code"], answer.json["errors"][0]["field"]) == (409, "taken", "name")
    assert row_counts(db) == before


@pytest.mark.parametrize(("name", "dry_run", "status"), [("Compiler", "true", 422), ("compiler", "maybe", 422)])
def test_a_plan_is_checked_like_the_real_thing(
    dev: FlaskClient, db: Database, name: str, dry_run: str, status: int
) -> None:
    body = {"project_id": add_project(dev), "name": name, "type": "Flask"}

    answer = dev.post(f"{V1}/app", json=body, query_string={"dry_run": dry_run})

    assert answer.status_code == status
    assert (count_jobs(db, "plan"), row_counts(db)["apps"]) == (0, 0)


def test_a_plan_that_failed_is_retried_like_any_job(dev: FlaskClient, db: Database) -> None:
    job_id = _plan(dev, add_project(dev), "compiler").json["job_id"]
    fail(db, job_id, "foresee_app")

    assert dev.post(f"{V1}/jobs/{job_id}/retry", json={}).status_code == 202
    succeed(db, job_id)
    assert job(db, job_id).state is JobState.SUCCEEDED

"""How an app is: its state, what runs, its last build, deployment and comparison; in the list as in its document."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import insert, update
from support import plans
from support.api import V1, Api, add_app, add_project
from support.bulk_data import id_at, job_row
from support.fake_worker import add_build, add_provisioned, fail, succeed
from support.workers import counted_statements

from common.database.engine import Database
from common.database.models import App, Job
from common.states import JobState
from common.workflows import BUILD, DEPLOY, DRIFT

MORE_JOBS = 3_000
# Who asks; the project; ids and rows of the page; the newest jobs of each app, and their rows; what builds, deployments
# and comparisons have recorded; who started them.
STATEMENTS = 10


@pytest.fixture
def app_id(dev: FlaskClient, db: Database) -> str:
    return add_provisioned(db, dev)


def _app(member: FlaskClient, app_id: str) -> dict[str, Any]:
    shown: dict[str, Any] = member.get(f"{V1}/app/{app_id}").json
    return shown


def _begin(member: FlaskClient, app_id: str, what: str, **body: Any) -> str:
    answer = member.post(f"{V1}/app/{app_id}/{what}", json=body)
    assert answer.status_code == 202, answer.text
    job_id: str = answer.json["job_id"]
    return job_id


def _deploy(member: FlaskClient, db: Database, app_id: str, **body: Any) -> str:
    job_id = _begin(member, app_id, "deploys", **body)
    succeed(db, job_id, await_healthy={"application": "compiler", "revision": "beef", "images": []})
    return job_id


def _remove(member: FlaskClient, app_id: str) -> str:
    job_id: str = member.delete(f"{V1}/app/{app_id}?confirm=compiler").json["job_id"]
    return job_id


def test_an_app_is_being_made_and_then_ready(dev: FlaskClient, db: Database) -> None:
    made = add_app(dev, add_project(dev), "compiler").json
    making = _app(dev, made["app_id"])
    succeed(db, made["job_id"])
    ready = _app(dev, made["app_id"])

    assert (making["state"], making["job_id"], making["job_state"]) == ("making", made["job_id"], "queued")
    assert (ready["state"], ready["job_state"], ready["created_by"]) == ("ready", "succeeded", "grace")
    assert [ready[name] for name in ("running", "last_build", "last_deploy", "last_drift")] == [None] * 4


def test_an_app_that_could_not_be_made_is_incomplete_until_a_repair_has_succeeded(
    dev: FlaskClient, db: Database
) -> None:
    made = add_app(dev, add_project(dev), "compiler").json
    fail(db, made["job_id"], "fork_source")
    succeed(db, made["job_id"])
    states = [_app(dev, made["app_id"])["state"]]
    repair = _begin(dev, made["app_id"], "reconcile")
    states.append(_app(dev, made["app_id"])["state"])
    succeed(db, repair)
    states.append(_app(dev, made["app_id"])["state"])

    assert states == ["incomplete", "making", "ready"]


@pytest.mark.parametrize(("what", "step"), [("builds", "start_build"), ("reconcile", "fork_source")])
def test_what_fails_later_leaves_an_app_ready(
    dev: FlaskClient, db: Database, app_id: str, what: str, step: str
) -> None:
    job_id = _begin(dev, app_id, what)
    fail(db, job_id, step)
    succeed(db, job_id)

    shown = _app(dev, app_id)

    assert (shown["state"], shown["job_id"], shown["job_state"]) == ("ready", job_id, "failed")


def test_a_removal_that_fails_leaves_an_app_incomplete_and_nothing_running(
    dev: FlaskClient, db: Database, app_id: str
) -> None:
    _deploy(dev, db, app_id, image_tag="1", force=True)
    removal = _remove(dev, app_id)
    states = [_app(dev, app_id)["state"]]
    fail(db, removal, "delete_application")
    broken = _app(dev, app_id)
    succeed(db, _begin(dev, app_id, "reconcile"))
    mended = _app(dev, app_id)

    assert [*states, broken["state"], mended["state"]] == ["removing", "incomplete", "ready"]
    assert (broken["running"], mended["running"]) == (None, None)


def test_a_removal_that_ran_after_the_repair_has_undone_it(dev: FlaskClient, db: Database, app_id: str) -> None:
    removal = _remove(dev, app_id)
    fail(db, removal, "delete_application")
    succeed(db, removal)
    succeed(db, _begin(dev, app_id, "reconcile"))
    _deploy(dev, db, app_id, image_tag="1", force=True)
    mended = _app(dev, app_id)
    later = db.now() + timedelta(minutes=1)
    db.transaction(
        lambda session: session.execute(update(Job).where(Job.id == removal).values(finished_at=later))
    )  # as if it had been retried since, and cancelled

    undone = _app(dev, app_id)

    assert (mended["state"], mended["running"] is None) == ("ready", False)
    assert (undone["state"], undone["running"]) == ("incomplete", None)


def test_a_removal_that_was_cancelled_before_it_began_changes_nothing(
    dev: FlaskClient, db: Database, app_id: str
) -> None:
    deployed = _deploy(dev, db, app_id, image_tag="1", force=True)
    dev.post(f"{V1}/jobs/{_remove(dev, app_id)}/cancel", json={})

    shown = _app(dev, app_id)

    assert (shown["state"], shown["running"]["job_id"]) == ("ready", deployed)


def test_a_removed_app_is_shown_as_removed_and_in_no_list(dev: FlaskClient, db: Database, app_id: str) -> None:
    removal = _remove(dev, app_id)
    succeed(db, removal)
    db.transaction(lambda session: session.execute(update(App).values(claimed_name=None)))

    shown = _app(dev, app_id)

    assert (shown["state"], shown["job_id"], shown["name"], shown["running"]) == ("removed", removal, "compiler", None)
    assert dev.get(f"{V1}/apps/{shown['project_id']}").json["apps"] == []


def test_what_runs_is_the_last_deployment_that_succeeded(dev: FlaskClient, db: Database, app_id: str) -> None:
    add_build(db, dev, app_id)
    first = _deploy(dev, db, app_id)
    healthy = _app(dev, app_id)["running"]
    second = _begin(dev, app_id, "deploys", image_tag="2", force=True)
    progressing = _app(dev, app_id)["running"]
    fail(db, second, "sync_application")
    shown = _app(dev, app_id)

    assert healthy == {
        "image_tag": f"1-{app_id[-8:]}",
        "revision": "beef",
        "commit": "c0ffee",
        "since": healthy["since"],
        "by": "grace",
        "health": "healthy",
        "job_id": first,
    }
    assert progressing == {**healthy, "health": "progressing"}
    assert shown["running"] == {**healthy, "health": "unknown"}
    assert (shown["last_deploy"]["job_id"], shown["last_deploy"]["state"]) == (second, "failed")
    assert (shown["state"], shown["last_build"]["commit"]) == ("ready", "c0ffee")


def test_a_rollback_says_the_commit_again(dev: FlaskClient, db: Database, app_id: str) -> None:
    add_build(db, dev, app_id, commit="aaa")
    _deploy(dev, db, app_id)
    add_build(db, dev, app_id, commit="bbb")
    _deploy(dev, db, app_id)
    commits = [_app(dev, app_id)["running"]["commit"]]

    back = _begin(dev, app_id, "rollback")
    succeed(db, back, await_healthy={"application": "compiler", "revision": "beef", "images": []})

    assert [*commits, _app(dev, app_id)["running"]["commit"]] == ["bbb", "aaa"]


def test_the_last_comparison_is_shown(dev: FlaskClient, db: Database, app_id: str) -> None:
    job_id = _begin(dev, app_id, "drift")
    part = {"step": "create_pipeline", "upstream": "jenkins", "state": "missing", "reason": "It is gone."}
    succeed(db, job_id, compare_app={"drifted": True, "repairable": True, "parts": [part]})
    _begin(dev, app_id, "drift")

    found = _app(dev, app_id)["last_drift"]

    assert found == {"job_id": job_id, "at": found["at"], "drifted": True, "repairable": True, "parts": 1}


def test_a_list_shows_what_the_document_shows_with_as_many_statements_for_many_apps(
    api: Api, dev: FlaskClient, db: Database, app_id: str
) -> None:
    project_id = _app(dev, app_id)["project_id"]
    add_build(db, dev, app_id)
    _deploy(dev, db, app_id)
    succeed(db, _begin(dev, app_id, "drift"), compare_app={"drifted": False, "repairable": False, "parts": []})
    counts = []
    for number in range(2):
        with counted_statements(api.service.db) as sent:
            listed = dev.get(f"{V1}/apps/{project_id}").json["apps"]
        counts.append(sum(statement.startswith("SELECT") for statement in sent))
        if not number:
            for name in ("linker", "loader", "parser"):
                add_app(dev, project_id, name)

    detail = _app(dev, app_id)

    assert counts == [STATEMENTS] * 2
    assert [app["state"] for app in listed] == ["making", "making", "making", "ready"]
    assert listed[-1] == {name: detail[name] for name in listed[-1]}


def test_a_list_costs_the_same_however_many_jobs_the_apps_have(
    api: Api, dev: FlaskClient, db: Database, app_id: str
) -> None:
    """The newest of each kind are known already: older ones may not matter."""
    project_id, user_id = _app(dev, app_id)["project_id"], _user_id(db, app_id)

    def cost() -> int:
        with plans.listening(api.service.db) as asked:
            dev.get(f"{V1}/apps/{project_id}")
        return plans.cost(db, [each for each in asked if not each.sql.startswith("BEGIN")])

    for kind in (BUILD.name, DEPLOY.name, DRIFT.name):
        _add_jobs(db, app_id, user_id, kind, 1)
    few = cost()
    for kind in (BUILD.name, DEPLOY.name, DRIFT.name):
        _add_jobs(db, app_id, user_id, kind, MORE_JOBS)

    assert cost() <= 1.1 * few


def _user_id(db: Database, app_id: str) -> str:
    return db.read(lambda session: session.get_one(App, app_id).created_by)


def _add_jobs(db: Database, app_id: str, user_id: str, kind: str, count: int) -> None:
    """Add jobs that succeeded, one a minute up to now."""
    now = db.now()
    times = [now - timedelta(minutes=number) for number in range(count)]
    about = {"team_id": "dev", "user_id": user_id, "app_id": app_id, "subject_id": app_id, "input": {"app": "compiler"}}
    rows = [job_row(id_at(at), at, kind=kind, state=JobState.SUCCEEDED, **about) for at in times]
    db.transaction(lambda session: session.execute(insert(Job), rows))

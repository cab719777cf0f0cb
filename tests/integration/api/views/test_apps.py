"""Projects and apps: of one's own team only; names where they must be unique; what an app is made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, update
from support.api import V1, Api, add_app, add_project, open_api, row_counts, without_request_id
from support.fake_worker import admin
from support.world import Time
from werkzeug.test import TestResponse

from common.config import catalog
from common.database.engine import Database
from common.database.ids import new_id
from common.database.models import App, Job, Resource, Step
from common.states import Provenance, StepState

pytestmark = pytest.mark.one_database

ABSENT = "01890000-0000-7000-8000-000000000000"


def _faults(answer: TestResponse) -> dict[str, str]:
    return {error["field"]: error["code"] for error in answer.json["errors"]}


def test_an_accepted_app_answers_job_and_app(dev: FlaskClient, db: Database) -> None:
    project_id = add_project(dev)

    answer = add_app(dev, project_id, "compiler", description="Turns A-0 into\nmachine code. \U0001f6a2")

    job_id, app_id = answer.json["job_id"], answer.json["app_id"]
    assert answer.status_code == 202
    assert answer.json == {
        "job_id": job_id, "status_url": f"{V1}/jobs/{job_id}", "app_id": app_id, "is_new": True,
    }  # fmt: skip
    assert answer.headers["Location"] == f"{V1}/jobs/{job_id}"
    assert db.read(lambda session: session.get_one(Job, job_id)).input == {
        "app": "compiler",
        "type": "Flask",
        "team": "dev",
    }
    shown = dev.get(f"{V1}/app/{app_id}").json
    assert (shown["name"], shown["type"], shown["state"], shown["job_id"]) == ("compiler", "Flask", "making", job_id)
    assert shown["description"] == "Turns A-0 into\nmachine code. \U0001f6a2"


def test_an_unknown_type_is_answered_with_those_that_there_are(dev: FlaskClient, db: Database) -> None:
    project_id = add_project(dev)
    before = row_counts(db)

    answer = add_app(dev, project_id, "compiler", type="flask")

    (error,) = answer.json["errors"]
    assert (answer.status_code, error["field"], error["code"]) == (422, "type", "unknown")
    assert error["message"].endswith("Choose one of: Spring, Django, Flask.")
    assert row_counts(db) == before


def test_an_app_gets_a_namespace_of_its_team(dev: FlaskClient, db: Database) -> None:
    app_id = add_app(dev, add_project(dev), "grafana").json["app_id"]

    assert dev.get(f"{V1}/app/{app_id}").json["namespace"] == "dev-grafana"
    assert db.read(lambda session: session.get_one(App, app_id)).namespace == "dev-grafana"


def test_an_older_app_keeps_its_name_as_its_namespace_which_no_other_gets(dev: FlaskClient, db: Database) -> None:
    project_id = add_project(dev)
    older = add_app(dev, project_id, "dev-compiler").json["app_id"]
    db.transaction(lambda session: session.execute(update(App).where(App.id == older).values(namespace=None)))
    before = row_counts(db)

    answers = [add_app(dev, project_id, "compiler"), dev.post(
        f"{V1}/app?dry_run=true", json={"project_id": project_id, "name": "compiler", "type": "Flask"}
    )]  # fmt: skip

    assert dev.get(f"{V1}/app/{older}").json["namespace"] == "dev-compiler"
    assert [(answer.status_code, _faults(answer)) for answer in answers] == [(409, {"name": "taken"})] * 2
    assert row_counts(db) == before


def test_a_namespace_is_free_once_its_app_is_removed(dev: FlaskClient, db: Database) -> None:
    project_id = add_project(dev)
    older = add_app(dev, project_id, "old-one").json["app_id"]
    removed = {"namespace": "dev-compiler", "claimed_name": None}
    db.transaction(lambda session: session.execute(update(App).where(App.id == older).values(**removed)))

    assert add_app(dev, project_id, "compiler").status_code == 202


@pytest.mark.parametrize(
    ("pattern", "app", "code"),
    [
        ("graf{app}", "ana", "reserved"),
        (f"{'x' * 40}-{{app}}", "a" * 30, "too_long"),
        ("gitlab-{app}", "runner", "reserved"),
    ],
)
def test_the_rules_apply_to_the_namespace(
    db_url: str, time: Time, tmp_path: Path, pattern: str, app: str, code: str
) -> None:
    file = tmp_path / "catalog.toml"
    file.write_text(catalog.read(None).replace('# namespace = "{team}-{app}" #', f'namespace = "{pattern}" #'))

    with open_api(db_url, time, catalog_file=file) as api:
        dev = api.member("grace", "dev")
        answer = add_app(dev, add_project(dev), app)

    assert (answer.status_code, _faults(answer)) == (422, {"name": code})


@pytest.mark.parametrize(
    ("change", "faults"),
    [
        ({"name": "Compiler"}, {"name": "invalid"}),
        ({"name": "compiler\n"}, {"name": "invalid"}),
        ({"name": "c\u043empiler"}, {"name": "invalid"}),
        ({"name": "x" * 60_000}, {"name": "invalid"}),
        ({"name": "kube-system"}, {"name": "reserved"}),
        ({"name": None}, {"name": "wrong_type"}),
        ({"type": "x" * 60_000}, {"type": "unknown"}),
        ({"description": "a\0b"}, {"description": "invalid"}),
        ({"description": "x" * 501}, {"description": "too_long"}),
        ({"team": "ops"}, {"team": "unknown_field"}),
        ({"project_id": 7}, {"project_id": "wrong_type"}),
        (
            {"name": "A", "type": "B", "description": "\0"},
            {"name": "invalid", "type": "unknown", "description": "invalid"},
        ),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_a_refused_field_is_named_and_nothing_is_written(
    dev: FlaskClient, db: Database, change: dict[str, Any], faults: dict[str, str]
) -> None:
    project_id = add_project(dev)
    before = row_counts(db)

    answer = add_app(dev, **{"project_id": project_id, "name": "compiler", **change})

    assert (answer.status_code, _faults(answer)) == (422, faults)
    assert row_counts(db) == before


def test_a_foreign_project_looks_like_an_absent_one(dev: FlaskClient, ops: FlaskClient, db: Database) -> None:
    theirs = add_project(ops)
    before = row_counts(db)

    foreign = add_app(dev, theirs, "compiler")
    others = [add_app(dev, project, "compiler") for project in (ABSENT, "", "é", "\0", f"{theirs} ", theirs.upper())]

    assert foreign.status_code == 404
    assert {without_request_id(answer) for answer in others} == {without_request_id(foreign)}
    assert row_counts(db) == before


@pytest.mark.parametrize("path", ["app", "apps"])
def test_foreign_things_look_like_absent_ones(dev: FlaskClient, ops: FlaskClient, path: str) -> None:
    project_id = add_project(ops)
    theirs = add_app(ops, project_id, "compiler").json["app_id"] if path == "app" else project_id

    foreign = dev.get(f"{V1}/{path}/{theirs}")
    absent = dev.get(f"{V1}/{path}/{ABSENT}")

    assert ops.get(f"{V1}/{path}/{theirs}").status_code == 200
    assert (foreign.status_code, absent.status_code) == (404, 404)
    assert without_request_id(foreign).replace(theirs.encode(), ABSENT.encode()) == without_request_id(absent)


@pytest.mark.parametrize("wrong", ["é", "%00", "%20", "%F0%9F%9A%A2", "..%2f", "x" * 2000, "'", f"{ABSENT}%20"])
@pytest.mark.parametrize("path", ["app", "apps", "jobs", "project"])
def test_what_is_no_id_is_not_found(dev: FlaskClient, path: str, wrong: str) -> None:
    answer = dev.get(f"{V1}/{path}/{wrong}")

    assert answer.status_code == 404
    assert answer.json["code"] == ("no_such_path" if "/" in unquote(wrong) else "not_found")


def test_an_app_s_name_is_taken_for_all_teams(dev: FlaskClient, ops: FlaskClient, db: Database) -> None:
    add_app(ops, add_project(ops), "compiler")
    project_id = add_project(dev)
    before = row_counts(db)

    answer = add_app(dev, project_id, "compiler")

    assert (answer.status_code, answer.json["code"], _faults(answer)) == (409, "taken", {"name": "taken"})
    assert row_counts(db) == before


def test_a_project_s_name_is_taken_for_its_team_only(dev: FlaskClient, ops: FlaskClient, db: Database) -> None:
    add_project(dev, "compilers")
    add_project(ops, "compilers")

    answer = dev.post(f"{V1}/project", json={"name": "compilers"})

    assert (answer.status_code, _faults(answer)) == (409, {"name": "taken"})
    assert row_counts(db)["projects"] == 2


@pytest.mark.parametrize(
    "body", [{}, {"name": "Compilers"}, {"name": "compilers", "description": "\x1b"}, {"name": []}]
)
def test_a_refused_project_is_not_written(dev: FlaskClient, db: Database, body: dict[str, Any]) -> None:
    answer = dev.post(f"{V1}/project", json=body)

    assert answer.status_code == 422
    assert row_counts(db)["projects"] == 0


def test_a_team_lists_its_own_projects_only(dev: FlaskClient, ops: FlaskClient) -> None:
    names = [f"project-{number}" for number in range(5)]
    for name in names:
        add_project(dev, name)
    add_project(ops, "compilers")

    seen, cursor = [], None
    while cursor is not None or not seen:
        page = dev.get(f"{V1}/project/dev", query_string={"limit": 2, **({"cursor": cursor} if cursor else {})}).json
        seen += [project["name"] for project in page["projects"]]
        cursor = page["next"]

    assert sorted(seen) == names
    assert dev.get(f"{V1}/project/ops").status_code == 404


@pytest.mark.parametrize("team", ["ops ", " ops", "OPS", "öps", "nowhere"])
def test_a_team_is_found_by_its_own_name_alone(api: Api, db: Database, team: str) -> None:
    administrator = admin(api, db)

    assert administrator.get(f"{V1}/project/ops").status_code == 200
    assert administrator.get(f"{V1}/project/{team}").status_code == 404


def test_an_app_shows_its_parts_under_the_addresses_that_people_reach(
    dev: FlaskClient, db: Database, time: Time
) -> None:
    accepted = add_app(dev, add_project(dev), "compiler").json
    _record_fork(db, time, accepted["job_id"], accepted["app_id"])

    (part,) = dev.get(f"{V1}/app/{accepted['app_id']}").json["parts"]

    assert part == {
        "upstream": "gitlab",
        "kind": "project",
        "name": "dev/compiler",
        "state": "created",
        "url": "https://git.example.com/dev/compiler",
        "clone_url": "https://git.example.com/dev/compiler.git",
    }


def _record_fork(db: Database, time: Time, job_id: str, app_id: str) -> None:
    """Write what the steps that fork the source leave behind."""

    def work(session: Any) -> None:
        step = session.scalars(select(Step).where(Step.job_id == job_id, Step.name == "await_source")).one()
        step.state = StepState.SUCCEEDED
        step.output = {"project_id": 7, "clone_url": "http://gitlab.invalid/dev/compiler.git", "branch": "main"}
        session.add(
            Resource(
                id=new_id(),
                subject_id=app_id,
                upstream="gitlab",
                kind="project",
                ref="dev/compiler",
                outside_id="7",
                url="http://gitlab.invalid/dev/compiler",
                provenance=Provenance.CREATED,
                job_id=job_id,
                step="fork_source",
                attempt=1,
                created_at=time(),
                updated_at=time(),
            )
        )

    db.transaction(work)

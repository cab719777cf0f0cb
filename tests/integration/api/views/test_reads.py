"""Teams, types, members, accounts, apps by name and stuck jobs: what front ends and administrators look up."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import update
from support.api import V1, Api, add_app, add_project
from support.fake_worker import add_provisioned
from support.world import Time

from common.database.engine import Database
from common.database.models import User

pytestmark = pytest.mark.one_database


def _get(client: FlaskClient, path: str, **query: Any) -> Any:
    answer = client.get(f"{V1}/{path}", query_string=query)
    assert answer.status_code == 200, answer.text
    return answer.json


def test_anyone_reads_which_teams_there_are_and_which_are_open(api: Api) -> None:
    teams = _get(api.app.test_client(), "teams")["teams"]

    assert [team["team_id"] for team in teams] == ["dev", "ops"]
    assert set(teams[0]) == {"team_id", "title", "self_join"}


def test_a_member_reads_the_places_of_the_own_team_and_the_types(dev: FlaskClient, db: Database) -> None:
    add_provisioned(db, dev)

    team, types = _get(dev, "teams/dev"), _get(dev, "types")["types"]

    assert (team["gitlab_group"], team["members"], team["projects"]) == ("dev", 1, 1)
    assert [each["type"] for each in types] == ["Spring", "Django", "Flask"]
    assert dev.get(f"{V1}/teams/ops").status_code == 404


def test_members_are_those_who_have_not_left(api: Api, dev: FlaskClient, ops: FlaskClient, db: Database) -> None:
    for login in ("ada", "leaver"):
        api.member(login)
    db.transaction(lambda session: session.execute(update(User).where(User.login == "leaver").values(left_at=db.now())))

    first = _get(dev, "teams/dev/members", limit=1)
    second = _get(dev, "teams/dev/members", limit=1, cursor=first["next"])

    assert [each["id"] for page in (first, second) for each in page["members"]] == ["ada", "grace"]
    assert second["next"] is None
    assert ops.get(f"{V1}/teams/dev/members").status_code == 404


@pytest.mark.parametrize(
    ("query", "logins"),
    [
        ({}, ["chief", "grace", "linus"]),
        ({"team": "dev"}, ["grace"]),
        ({"admins": "true"}, ["chief"]),
        ({"name": "RACE@"}, ["grace"]),
        ({"name": "%"}, []),
        ({"name": "가"}, []),
        ({"team": "nowhere"}, []),
    ],
    ids=str,
)
@pytest.mark.usefixtures("dev", "ops")
def test_an_administrator_finds_accounts(chief: FlaskClient, query: dict[str, str], logins: list[str]) -> None:
    assert sorted(each["id"] for each in _get(chief, "users", **query)["users"]) == logins


def test_apps_of_a_team_are_listed_over_all_projects_and_found_by_name(
    dev: FlaskClient, ops: FlaskClient, chief: FlaskClient
) -> None:
    add_app(dev, add_project(dev, "shop"), "storefront")
    add_app(dev, add_project(dev, "tools"), "restore")
    add_app(ops, add_project(ops, "shop"), "opsstore")

    assert [app["name"] for app in _get(dev, "apps")["apps"]] == ["restore", "storefront"]
    assert [app["name"] for app in _get(dev, "apps", name="front")["apps"]] == ["storefront"]
    assert [app["name"] for app in _get(chief, "apps", team="dev", name="stor")["apps"]] == ["restore", "storefront"]
    assert [each["name"] for each in _get(dev, "project/dev", name="oo")["projects"]] == ["tools"]
    assert dev.get(f"{V1}/apps", query_string={"team": "ops"}).status_code == 404


def test_a_project_is_shown_to_its_team(dev: FlaskClient, ops: FlaskClient) -> None:
    project_id = add_project(dev)

    assert _get(dev, f"projects/{project_id}")["name"] == "compilers"
    assert ops.get(f"{V1}/projects/{project_id}").status_code == 404


def test_an_administrator_sees_stuck_jobs_and_what_to_do(dev: FlaskClient, chief: FlaskClient, time: Time) -> None:
    made = add_app(dev, add_project(dev), "compiler").json
    nothing = _get(chief, "jobs/stuck")["jobs"]
    time.advance(1000)

    stuck = next(each for each in _get(chief, "jobs/stuck")["jobs"] if each["job_id"] == made["job_id"])

    assert nothing == []
    assert (stuck["app"], stuck["why"], stuck["upstream"]) == ("compiler", "overdue", "gitlab")
    assert "Start workers" in stuck["advice"]

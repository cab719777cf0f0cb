"""API tokens: named, scoped, expiring, shown once, stored hashed, and never more than their person within the team."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from support.api import V1, Api, add_app, add_project, row_counts
from support.endpoint_cases import ABOUT, Things, request
from support.fake_worker import succeed
from support.objects import Objects
from support.world import Time
from werkzeug.test import TestResponse

from api.contract.scopes import SCOPES, Scope
from api.credentials import hash_of
from api.serving.routing import declared_endpoints
from common.database.engine import Database
from common.database.models import ApiToken, Job
from common.jobs import dispatch

DAY_S = 24 * 3600
Create = Callable[..., dict[str, Any]]


@pytest.fixture
def create(dev: FlaskClient) -> Create:
    """Create a token of the member."""

    def make(name: str = "ci", scope: str = "read", **body: Any) -> dict[str, Any]:
        answer = dev.post(f"{V1}/me/tokens", json={"name": name, "scope": scope, **body})
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json
        return made

    return make


def _rows(db: Database) -> list[ApiToken]:
    return list(db.read(lambda session: session.scalars(select(ApiToken)).all()))


def test_a_token_is_shown_once_and_stored_as_a_hash(db: Database, dev: FlaskClient, create: Create) -> None:
    made = create("deployments of the shop", "deploy")

    (row,) = _rows(db)
    (listed,) = dev.get(f"{V1}/me/tokens").json["tokens"]
    assert made["token"].startswith("slp_")
    assert len(made["token"]) == len("slp_") + 43, "256 bits"
    assert row.token_hash == hash_of(made["token"])
    assert made["token"] not in str(vars(row))
    assert listed == {name: value for name, value in made.items() if name != "token"}


def test_it_lasts_90_days_or_as_chosen(api: Api, create: Create, time: Time) -> None:
    usual, short = (api.bearer(create(f"t{days}", expires_in_days=days)["token"]) for days in (90, 1))

    time.advance(DAY_S - 1)
    assert [client.get(f"{V1}/me").status_code for client in (usual, short)] == [200, 200]
    time.advance(1)
    assert [client.get(f"{V1}/me").status_code for client in (usual, short)] == [200, 401]
    time.advance(89 * DAY_S)
    assert usual.get(f"{V1}/me").status_code == 401


def test_what_has_expired_is_deleted(db: Database, create: Create, time: Time) -> None:
    create()
    time.advance(90 * DAY_S)

    dispatch.delete_expired(db)

    assert _rows(db) == []


@pytest.mark.parametrize(
    "body",
    [
        {"name": "", "scope": "read"}, {"name": "a" * 65, "scope": "read"}, {"name": " ci", "scope": "read"},
        {"name": "ç", "scope": "read"}, {"name": "ci", "scope": "admin"}, {"name": "ci", "scope": "READ"},
        {"name": "ci", "scope": "read", "expires_in_days": 0}, {"name": "ci", "scope": "read", "expires_in_days": 366},
        {"name": "ci", "scope": "read", "expires_in_days": "7"}, {"name": "ci"},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_token_is_refused_by_name(dev: FlaskClient, body: dict[str, Any]) -> None:
    answer = dev.post(f"{V1}/me/tokens", json=body)

    assert (answer.status_code, answer.json["code"]) == (422, "invalid_fields")


def test_a_name_is_given_once_and_free_again_after_the_token(dev: FlaskClient, create: Create) -> None:
    made = create("ci")

    again = dev.post(f"{V1}/me/tokens", json={"name": "ci", "scope": "team"})
    dev.delete(f"{V1}/me/tokens/{made['token_id']}")

    assert (again.status_code, again.json["code"], again.json["errors"][0]["field"]) == (409, "taken", "name")
    assert create("ci")["token"] != made["token"]


def test_a_person_has_twenty_at_most_however_fast_they_ask(api: Api, db: Database, dev: FlaskClient) -> None:
    token = dev.environ_base["HTTP_AUTHORIZATION"].partition(" ")[2]

    def ask(number: int) -> int:
        return api.bearer(token).post(f"{V1}/me/tokens", json={"name": f"n{number}", "scope": "read"}).status_code

    for number in range(17):
        assert ask(number) == 201
    with ThreadPoolExecutor(4) as pool:
        codes = sorted(pool.map(ask, range(17, 23)))

    assert codes == [201, 201, 201, 409, 409, 409]
    assert len(_rows(db)) == 20
    assert dev.post(f"{V1}/me/tokens", json={"name": "more", "scope": "read"}).json["code"] == "too_many_tokens"


def test_a_revoked_token_is_dead_at_once(api: Api, dev: FlaskClient, create: Create) -> None:
    made = create()
    client = api.bearer(made["token"])
    assert client.get(f"{V1}/me").status_code == 200

    answers = [dev.delete(f"{V1}/me/tokens/{made['token_id']}").status_code for _ in range(2)]

    assert answers == [204, 404]
    assert client.get(f"{V1}/me").status_code == 401


def test_the_token_of_somebody_who_has_left_is_dead_at_once(
    api: Api, db: Database, chief: FlaskClient, create: Create
) -> None:
    client = api.bearer(create(scope="team")["token"])
    for job_id in db.read(lambda session: session.scalars(select(Job.id).where(Job.kind == "signup")).all()):
        succeed(db, job_id)

    assert chief.delete(f"{V1}/users/grace").status_code == 202

    assert client.get(f"{V1}/me").status_code == 401
    assert _rows(db) == [], "nor does it come back with the person"


def test_nobody_sees_or_revokes_the_tokens_of_others(ops: FlaskClient, chief: FlaskClient, create: Create) -> None:
    made = create()

    for other in (ops, chief):
        assert other.get(f"{V1}/me/tokens").json == {"tokens": []}
        assert other.delete(f"{V1}/me/tokens/{made['token_id']}").status_code == 404


def test_the_last_use_is_known_to_the_minute(
    api: Api, db: Database, dev: FlaskClient, create: Create, time: Time
) -> None:
    client = api.bearer(create()["token"])

    def used_at() -> Any:
        return _rows(db)[0].last_used_at

    assert used_at() is None
    client.get(f"{V1}/me")
    first = used_at()
    time.advance(59)
    client.get(f"{V1}/me")
    assert used_at() == first
    time.advance(1)
    client.get(f"{V1}/me")
    assert (used_at() - first).total_seconds() == 60
    assert dev.get(f"{V1}/me/tokens").json["tokens"][0]["last_used_at"] is not None


def test_a_token_in_a_cookie_is_nobody(api: Api, create: Create) -> None:
    api.visitor.set_cookie("session", create()["token"])

    assert api.visitor.get(f"{V1}/me").status_code == 401


def test_a_token_of_an_administrator_has_no_rights_of_one(api: Api, dev: FlaskClient, chief: FlaskClient) -> None:
    project_id = add_project(dev)
    token = chief.post(f"{V1}/me/tokens", json={"name": "ci", "scope": "team"}).json["token"]
    client = api.bearer(token)

    assert client.get(f"{V1}/me").json["is_admin"] is False
    assert client.get(f"{V1}/apps/{project_id}").status_code == 404
    assert chief.get(f"{V1}/apps/{project_id}").status_code == 200


def test_a_repeated_request_shows_the_token_again_while_it_is_valid(dev: FlaskClient) -> None:
    body, key = {"name": "ci", "scope": "read"}, {"Idempotency-Key": "the-key-of-a-token"}
    first, again = (dev.post(f"{V1}/me/tokens", json=body, headers=key) for _ in range(2))
    dev.delete(f"{V1}/me/tokens/{first.json['token_id']}")

    third = dev.post(f"{V1}/me/tokens", json=body, headers=key)

    assert again.json == first.json
    assert third.status_code == 201
    assert third.json["token"] != first.json["token"]


# -- what a token may do ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
def test_each_call_takes_the_scopes_that_reach_it_and_no_other(api: Api, db: Database) -> None:
    things, calls = Things(Objects(api, db)), {call.name: call for call in declared_endpoints(api.app)}
    member = api.bearer(api.token("member-dev"))
    clients = {
        scope: api.bearer(member.post(f"{V1}/me/tokens", json={"name": scope, "scope": scope}).json["token"])
        for scope in Scope
    }
    tried = 0
    for about in (about for about in ABOUT if calls[about.call].takes_person):
        needed = SCOPES[about.call]
        for scope, client in clients.items():
            is_enough = needed is not None and scope.includes(needed)
            if is_enough and scope is not needed:
                continue  # the least that is enough will do
            things.values(about, "dev")
            before = row_counts(db)
            answer = _ask(client, about, calls[about.call], things)
            tried += 1
            if is_enough:
                is_fine = answer.status_code < 300 or about.is_for_administrators
                assert is_fine, f"{about} with {scope}: {answer.text}"
                continue
            assert (answer.status_code, answer.json["code"]) == (403, "scope"), f"{about} with {scope}: {answer.text}"
            assert ("No API token" if needed is None else f"`{needed}`") in answer.json["detail"]
            assert row_counts(db) == before, str(about)
    assert tried > 100


def _ask(client: FlaskClient, about: Any, call: Any, things: Things) -> TestResponse:
    sent = request(about, call, things.values(about, "dev"))
    answer = client.open(sent.path, method=sent.method, query_string=dict(sent.query), json=sent.json, buffered=True)
    if answer.status_code < 300 and call.takes_idempotency_key:
        things.use_up(about, "dev")
    return answer


def test_a_ci_system_builds_and_deploys_with_one_token(
    api: Api, db: Database, dev: FlaskClient, create: Create
) -> None:
    accepted = add_app(dev, add_project(dev), "shop").json
    succeed(db, accepted["job_id"])
    ci = api.bearer(create(scope="deploy")["token"])

    build = ci.post(f"{V1}/app/{accepted['app_id']}/builds", json={})
    deploy = ci.post(f"{V1}/app/{accepted['app_id']}/deploys", json={"image_tag": "1", "force": True})
    job = ci.get(f"{V1}/jobs/{build.json['job_id']}")
    refused = ci.delete(f"{V1}/app/{accepted['app_id']}?confirm=shop")

    assert [build.status_code, deploy.status_code, job.status_code, refused.status_code] == [202, 202, 200, 403]
    assert job.json["user"] == "grace"

"""Who may do what: every call that is about an app, a job or a person × everybody who may try."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from support.api import V1, Api, open_api
from support.driven import add_provisioned, admin, fail, record, succeed
from support.world import Time

from api.routes import Policy
from common.db import Database
from common.models import Provenance

WHO = ("anonymous", "other team", "own team", "admin")
SKIP = {"reason": "Done by hand"}

# method, path, body, and the status for each of WHO
CALLS: list[tuple[str, str, Any, tuple[int, int, int, int]]] = [
    ("GET", "/app/{app}", None, (401, 404, 200, 200)),
    ("DELETE", "/app/{app}", None, (401, 404, 202, 202)),
    ("DELETE", "/app/{app}?dry_run=true", None, (401, 404, 200, 200)),
    ("POST", "/app/{app}/builds", {}, (401, 404, 202, 202)),
    ("GET", "/jenkins/{app}", None, (401, 404, 202, 202)),
    ("GET", "/app/{app}/deploys", None, (401, 404, 200, 200)),
    ("POST", "/app/{app}/deploys", {}, (401, 404, 202, 202)),
    ("POST", "/app/{app}/rollback", {}, (401, 404, 409, 409)),
    ("POST", "/app/{app}/reconcile", {}, (401, 404, 202, 202)),
    ("GET", "/app/{app}/drift", None, (401, 404, 202, 202)),
    ("GET", "/jobs/{failed}", None, (401, 404, 200, 200)),
    ("GET", "/jobs/{failed}/log", None, (401, 404, 200, 200)),
    ("POST", "/jobs/{failed}/retry", {}, (401, 404, 202, 202)),
    ("POST", "/jobs/{failed}/cancel", {}, (401, 404, 409, 409)),
    ("POST", "/jobs/{failed}/steps/compare_app/skip", SKIP, (401, 403, 403, 409)),
    ("GET", "/jobs/{signup}", None, (200, 200, 200, 200)),
    ("GET", "/jobs/{signup}/log", None, (401, 404, 200, 200)),
    ("POST", "/jobs/{signup}/retry", {}, (409, 409, 409, 409)),
    ("POST", "/jobs/{signup}/cancel", {}, (401, 404, 409, 409)),
    ("POST", "/jobs/{signup}/steps/create_kibana_user/skip", SKIP, (401, 403, 403, 409)),
    ("DELETE", "/users/grace", None, (401, 403, 403, 202)),
]
IN_OTHER_TABLES = {"/signup", "/login", "/Login", "/logout", "/me", "/project", "/project/<team_id>", "/app",
                   "/apps/<project_id>", "/jobs"}  # fmt: skip


@pytest.fixture
def api(db_url: str, time: Time) -> Iterator[Api]:
    with open_api(db_url, time) as opened:
        yield opened


@pytest.fixture
def ids(api: Api, db: Database) -> dict[str, str]:
    """An app of the team `dev`, a job of it that failed, and the sign-up of who made it."""
    signup = api.sign_up("grace").json["job_id"]
    succeed(db, signup)
    grace = api.bearer(api.token("grace"))
    app = add_provisioned(db, grace)
    failed = grace.get(f"{V1}/app/{app}/drift").json["job_id"]
    fail(db, failed, "compare_app")
    record(db, failed, "project", "dev/compiler", Provenance.CREATED)
    return {"app": app, "failed": failed, "signup": signup}


def _client(api: Api, db: Database, who: str) -> FlaskClient:
    if who == "admin":
        return admin(api, db)
    if who == "anonymous":
        return api.app.test_client(use_cookies=False)
    return api.member("linus", team="ops") if who == "other team" else api.member("hopper")


@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize(("method", "path", "body", "statuses"), CALLS, ids=lambda value: str(value)[:48])
def test_who_may_do_what(
    api: Api, db: Database, ids: dict[str, str], method: str, path: str, body: Any, statuses: tuple[int, ...], who: str
) -> None:
    client = _client(api, db, who)

    answer = client.open(V1 + path.format(**ids), method=method, json=body)

    assert answer.status_code == statuses[WHO.index(who)], answer.text


@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
def test_every_call_with_a_policy_is_in_the_table(api: Api) -> None:
    tried = {(method, _shape(path)) for method, path, _, _ in CALLS}

    assert {call for call in _declared(api.app) if call[1] not in IN_OTHER_TABLES} == tried


def _declared(app: Flask) -> set[tuple[str, str]]:
    calls = [app.view_functions[rule.endpoint].call for rule in app.url_map.iter_rules()]  # type: ignore[attr-defined] # kept on the view by `route`
    return {
        (call.method, call.path) for call in calls if call.policy is not Policy.PUBLIC and not call.path.endswith("z")
    }


def _shape(path: str) -> str:
    """Return a path of the table as it is declared."""
    path = path.partition("?")[0].replace("{app}", "<app_id>").replace("compare_app", "<step>")
    path = path.replace("create_kibana_user", "<step>").replace("grace", "<login>")
    return path.replace("{failed}", "<job_id>").replace("{signup}", "<job_id>")

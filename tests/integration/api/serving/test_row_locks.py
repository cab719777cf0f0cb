"""An API process that is frozen in the middle of a request keeps no row locked that requests of others need."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient
from support.api import V1, Api, add_app, add_project, newcomer, open_api
from support.row_locks import finding_locks
from support.world import Time

from api.access import auth
from common.database.models import LoginSession, Project, RateCount, Team, User

pytestmark = pytest.mark.parametrize("db_url", ["mariadb"], indirect=True)  # SQLite has one lock: for writing at all

SHARED = (LoginSession, Project, RateCount, Team, User)


@pytest.fixture
def api(db_url: str, time: Time) -> Iterator[Api]:
    """An API that limits sign-ups and log-ins."""
    with open_api(db_url, time, signups_per_address=60, login_failures_per_address=200) as opened:
        yield opened


def test_no_request_keeps_a_row_locked_that_others_need(api: Api, dev: FlaskClient, db_url: str, time: Time) -> None:
    project_id = add_project(dev)
    api.sign_up("ada")
    api.admit("ada")
    with finding_locks(api.service.db, db_url, *SHARED) as found:
        time.advance(auth.TOUCH_EVERY.total_seconds())
        answers = [
            dev.get(f"{V1}/me"),
            api.sign_up("mary"),
            api.sign_up("grace", email="other@example.com"),
            api.visitor.post(f"{V1}/login", json={"id": "ada", "password": newcomer("ada")["password"]}),
            dev.post(f"{V1}/project", json={"name": "linkers"}),
            add_app(dev, project_id, "shop"),
            dev.post(f"{V1}/logout"),
        ]

    assert [answer.status_code for answer in answers] == [200, 202, 409, 201, 201, 202, 204]
    *before, last = found
    assert before == []
    assert last.startswith("DELETE FROM sessions"), "a session that is ended is locked from here to the commit"

"""Sessions: people see and end their own, another site ends none, and what a session showed ends with it."""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask.testing import FlaskClient
from support.api import PASSWORD, V1, Api, add_app, add_project, open_api
from support.fake_worker import admin, succeed
from support.stack import wait_for
from support.world import Time

from api.follow.hub import SESSIONS_EVERY_S
from common.database.engine import Database

KEY = {"Idempotency-Key": "the-key-of-a-log-in"}
BODY = {"id": "grace", "password": PASSWORD}
OTHER_SITES = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
]


@pytest.fixture
def api(db_url: str, db: Database, time: Time) -> Iterator[Api]:
    with open_api(db_url, time) as opened:
        succeed(db, opened.sign_up("grace").json["job_id"])
        yield opened


@pytest.fixture
def grace(api: Api) -> FlaskClient:
    return api.bearer(api.token("grace"))


# -- a log-out that another site causes -----------------------------------------------------------------------------


@pytest.mark.parametrize("headers", OTHER_SITES, ids=str)
def test_another_site_makes_no_browser_forget_its_cookie(api: Api, headers: dict[str, str]) -> None:
    """The browser withholds a strict cookie from such a request, and would obey an answer that deletes it."""
    answer = api.app.test_client().post(f"{V1}/logout", headers=headers)

    assert (answer.status_code, answer.json["code"]) == (403, "cross_site")
    assert "Set-Cookie" not in answer.headers


def test_a_log_out_deletes_only_the_cookie_that_was_sent(api: Api) -> None:
    by_header = api.bearer(api.token("grace")).post(f"{V1}/logout")
    by_nothing = api.app.test_client().post(f"{V1}/logout")

    assert [answer.status_code for answer in (by_header, by_nothing)] == [204, 204]
    assert [answer.headers.get("Set-Cookie") for answer in (by_header, by_nothing)] == [None, None]


def test_a_page_of_another_site_can_log_out_with_a_token_of_its_own(api: Api) -> None:
    page = api.bearer(api.token("grace"))

    answer = page.post(f"{V1}/logout", headers={"Sec-Fetch-Site": "cross-site", "Origin": "https://ours.example"})

    assert answer.status_code == 204
    assert page.get(f"{V1}/me").status_code == 401


# -- a log-in that is repeated ----------------------------------------------------------------------------------------


def test_a_log_in_that_is_repeated_is_the_same_one_while_it_lasts(api: Api) -> None:
    first, again = (api.visitor.post(f"{V1}/login", json=BODY, headers=KEY) for _ in range(2))

    assert again.json == first.json
    assert again.headers["Idempotency-Replayed"] == "true"


@pytest.mark.parametrize("how", ["log-out", "expiry", "idle"])
def test_a_log_in_that_is_repeated_after_its_end_is_a_new_one(api: Api, time: Time, how: str) -> None:
    first = api.app.test_client(use_cookies=False).post(f"{V1}/login", json=BODY, headers=KEY)
    if how == "log-out":
        api.bearer(first.json["token"]).post(f"{V1}/logout")
    time.advance({"log-out": 0, "expiry": 12 * 3600, "idle": 2 * 3600}[how])

    again, third = (
        api.app.test_client(use_cookies=False).post(f"{V1}/login", json=BODY, headers=KEY) for _ in range(2)
    )

    assert (again.status_code, "Idempotency-Replayed" in again.headers) == (201, False)
    assert api.bearer(again.json["token"]).get(f"{V1}/me").status_code == 200
    assert (third.json, third.headers["Idempotency-Replayed"]) == (again.json, "true")


def test_a_key_of_a_session_that_ended_is_no_way_to_guess_the_password(api: Api) -> None:
    first = api.visitor.post(f"{V1}/login", json=BODY, headers=KEY)
    api.bearer(first.json["token"]).post(f"{V1}/logout")

    wrong = api.visitor.post(f"{V1}/login", json={**BODY, "password": "another one it is"}, headers=KEY)

    assert (wrong.status_code, wrong.json["code"]) == (422, "key_reused")


# -- one's own sessions -----------------------------------------------------------------------------------------------


def _sessions(client: FlaskClient) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = client.get(f"{V1}/me/sessions").json["sessions"]
    return listed


def test_people_see_their_own_sessions(api: Api, grace: FlaskClient, time: Time) -> None:
    api.member("linus")
    time.advance(600)
    browser = {"User-Agent": "Firefox\x9b140", "X-Forwarded-For": "203.0.113.9"}
    api.visitor.post(f"{V1}/login", json=BODY, headers=browser)

    newest, oldest = _sessions(grace)

    assert (newest["user_agent"], newest["address"], newest["current"]) == ("Firefox140", "127.0.0.1", False)
    assert (oldest["current"], oldest["created_at"] < newest["created_at"]) == (True, True)
    assert oldest["last_used_at"] == newest["created_at"], "it was used just now"


def test_what_is_over_is_not_listed(api: Api, time: Time) -> None:
    api.token("grace")
    time.advance(2 * 3600)

    assert len(_sessions(api.bearer(api.token("grace")))) == 1


def test_a_session_is_ended_by_its_id(api: Api, grace: FlaskClient) -> None:
    other = api.bearer(api.token("grace"))
    wanted = next(each["session_id"] for each in _sessions(grace) if not each["current"])

    answers = [grace.delete(f"{V1}/me/sessions/{wanted}").status_code for _ in range(2)]

    assert answers == [204, 404]
    assert [client.get(f"{V1}/me").status_code for client in (other, grace)] == [401, 200]


@pytest.mark.parametrize("session_id", ["0" * 32, "0", "%", "é" * 32, "a" * 64])
def test_an_id_of_no_session_of_ones_own_is_not_found(grace: FlaskClient, session_id: str) -> None:
    assert grace.delete(f"{V1}/me/sessions/{session_id}").status_code == 404


def test_all_other_sessions_are_ended_together(api: Api, grace: FlaskClient) -> None:
    linus, others = api.member("linus"), [api.bearer(api.token("grace")) for _ in range(2)]

    answer = grace.delete(f"{V1}/me/sessions")

    assert answer.json == {"ended": 2}
    assert [client.get(f"{V1}/me").status_code for client in (*others, grace, linus)] == [401, 401, 200, 200]


# -- streams ----------------------------------------------------------------------------------------------------------


def _log_out(api: Api, token: str) -> None:
    assert api.bearer(token).post(f"{V1}/logout").status_code == 204


def _end_others(api: Api, _token: str) -> None:
    assert api.bearer(api.token("grace")).delete(f"{V1}/me/sessions").status_code == 200


def _leave(api: Api, _token: str) -> None:
    assert api.bearer(api.token("chief")).delete(f"{V1}/users/grace").status_code == 202


@pytest.mark.parametrize("path", ["/events", "?wait=50"])
@pytest.mark.parametrize("end", [_log_out, _end_others, _leave])
def test_whoever_follows_a_job_stops_with_their_session(
    api: Api, db: Database, end: Callable[[Api, str], None], path: str
) -> None:
    admin(api, db)
    token = api.token("grace")
    member = api.bearer(token)
    job_id = add_app(member, add_project(member), "shop").json["job_id"]
    with ThreadPoolExecutor(1) as pool:
        follower = pool.submit(lambda: member.get(f"{V1}/jobs/{job_id}{path}").get_data())
        wait_for("somebody follows", lambda: api.service.hub.threads_held or None)
        began_s = clock.monotonic()
        end(api, token)

        try:
            follower.result(timeout=8)
        finally:
            api.service.hub.stop()
    assert clock.monotonic() - began_s < 2 * SESSIONS_EVERY_S + 2


def test_whoever_follows_a_sign_up_without_a_session_goes_on(api: Api, db: Database) -> None:
    job_id = api.sign_up("linus").json["job_id"]
    with ThreadPoolExecutor(1) as pool:
        visitor = api.app.test_client(use_cookies=False)
        follower = pool.submit(lambda: visitor.get(f"{V1}/jobs/{job_id}/events").get_data(as_text=True))
        wait_for("somebody follows", lambda: api.service.hub.threads_held or None)
        clock.sleep(SESSIONS_EVERY_S + 0.5)
        succeed(db, job_id)

        assert '"state":"succeeded"' in follower.result(timeout=8)

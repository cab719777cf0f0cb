"""Login: nobody learns whether a user exists, a token ends when it should, another site's page cannot use a cookie."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256

import pytest
from argon2 import PasswordHasher
from sqlalchemy import select
from support.api import PASSWORD, V1, Api, open_api, row_counts, without_request_id
from support.world import Time

from api.passwords import Passwords
from common.database.engine import Database
from common.database.models import LoginSession, User

pytestmark = pytest.mark.one_database

HOUR = 3600


@pytest.fixture
def api(db_url: str, time: Time) -> Iterator[Api]:
    with open_api(db_url, time) as opened:
        opened.sign_up("grace")
        opened.admit("grace")
        yield opened


@pytest.fixture
def secure(db_url: str, time: Time) -> Iterator[Api]:
    """An API that is served over HTTPS."""
    with open_api(db_url, time, cookie_secure=True) as opened:
        opened.sign_up("grace")
        opened.admit("grace")
        yield opened


class CountingHasher(PasswordHasher):
    """The real thing at the least cost, and how often it verified."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.verified: list[str] = []

    def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # type: ignore[override] # noqa: A002 - argon2's names
        self.verified.append(str(hash))
        return super().verify(hash, password)


@pytest.mark.parametrize("path", ["login", "Login"])
def test_login_answers_token_and_person(api: Api, path: str) -> None:
    answer = api.visitor.post(f"{V1}/{path}", json={"id": "grace", "password": PASSWORD})

    assert answer.status_code == 201
    assert answer.json["user"] == {
        "id": "grace",
        "email": "grace@example.com",
        "name": "Grace Hopper",
        "team": "dev",
        "is_admin": False,
    }
    assert api.bearer(answer.json["token"]).get(f"{V1}/me").json == answer.json["user"]


@pytest.mark.parametrize("login", ["nobody", "Grace", "grace ", "gracé", "grac\u0435", "grace\0", "%", "", "' or 1=1"])
def test_an_unknown_user_is_answered_as_a_wrong_password(api: Api, login: str) -> None:
    wrong = api.visitor.post(f"{V1}/login", json={"id": "grace", "password": "wrong"})
    unknown = api.visitor.post(f"{V1}/login", json={"id": login, "password": PASSWORD})

    assert (wrong.status_code, wrong.json["title"]) == (401, "Invalid credentials")
    assert unknown.status_code == 401
    assert without_request_id(unknown) == without_request_id(wrong)
    assert "Set-Cookie" not in wrong.headers


def test_an_unknown_user_costs_one_verification_as_a_known_one_does() -> None:
    hasher = CountingHasher()
    passwords = Passwords(hasher)
    stored = passwords.hash("right")

    assert passwords.is_right("right", stored)
    assert not passwords.is_right("wrong", stored)
    assert not passwords.is_right("wrong", None)
    assert not passwords.is_right("nobody has this password", None)
    assert len(hasher.verified) == 4
    assert hasher.verified[2].split("$")[:4] == stored.split("$")[:4], "the stand-in costs as much"


@pytest.mark.parametrize(
    ("login", "password"),
    [("grace", PASSWORD), ("grace", "wrong"), ("nobody", PASSWORD), ("Grace", PASSWORD), ("grac\u0435", "wrong")],
)
def test_a_log_in_costs_one_verification_whether_the_name_is_known_or_not(api: Api, login: str, password: str) -> None:
    hasher = CountingHasher()
    api.app.extensions["slipway"] = replace(api.service, passwords=Passwords(hasher))

    api.visitor.post(f"{V1}/login", json={"id": login, "password": password})

    assert len(hasher.verified) == 1


def test_the_token_itself_is_not_stored(api: Api, db: Database) -> None:
    token = api.token("grace")

    row = db.read(lambda session: session.scalars(select(LoginSession)).one())
    assert row.token_hash == sha256(token.encode()).hexdigest()
    assert token not in str(vars(row))


def test_the_password_is_stored_as_argon2id(api: Api, db: Database) -> None:
    user = db.read(lambda session: session.scalars(select(User)).one())

    assert user.password_hash.startswith("$argon2id$")
    assert api.passwords.hash(PASSWORD).startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_a_logged_out_token_is_worth_nothing(api: Api, db: Database) -> None:
    member, other = api.bearer(api.token("grace")), api.bearer(api.token("grace"))

    answer = member.post(f"{V1}/logout")

    assert (answer.status_code, answer.data) == (204, b"")
    assert member.get(f"{V1}/me").status_code == 401
    assert other.get(f"{V1}/me").status_code == 200, "another login goes on"
    assert row_counts(db)["sessions"] == 1


@pytest.mark.parametrize(
    "value", ["", "Bearer", "Bearer ", "Bearer x", "Basic Z3JhY2U6eA==", "Bearer \xff\xfe", "x" * 4000]
)
def test_what_is_no_token_is_nobody(api: Api, value: str) -> None:
    answer = api.app.test_client().get(f"{V1}/me", headers={"Authorization": value})

    assert (answer.status_code, answer.json["code"]) == (401, "not_logged_in")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_two_idle_hours_end_a_login(api: Api, time: Time) -> None:
    member = api.bearer(api.token("grace"))

    time.advance(2 * HOUR - 1)
    assert member.get(f"{V1}/me").status_code == 200
    time.advance(2 * HOUR - 1)
    assert member.get(f"{V1}/me").status_code == 200
    time.advance(2 * HOUR)
    assert member.get(f"{V1}/me").status_code == 401


def test_twelve_hours_end_a_login_however_busy(api: Api, time: Time) -> None:
    member = api.bearer(api.token("grace"))

    for _ in range(11):
        time.advance(HOUR)
        assert member.get(f"{V1}/me").status_code == 200
    time.advance(HOUR)
    assert member.get(f"{V1}/me").status_code == 401


def test_the_cookie_is_out_of_reach_for_scripts_and_other_sites(api: Api) -> None:
    cookie = api.visitor.post(f"{V1}/login", json={"id": "grace", "password": PASSWORD}).headers["Set-Cookie"]

    assert cookie.startswith("session=")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    assert "Domain" not in cookie


def test_over_https_the_cookie_is_secure_and_bound_to_the_host(secure: Api) -> None:
    cookie = secure.visitor.post(f"{V1}/login", json={"id": "grace", "password": PASSWORD}).headers["Set-Cookie"]

    assert cookie.startswith("__Host-session=")
    assert {"HttpOnly", "Secure", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    assert "Domain" not in cookie


def test_logout_takes_the_cookie_away(api: Api) -> None:
    api.visitor.post(f"{V1}/login", json={"id": "grace", "password": PASSWORD})
    assert api.visitor.get(f"{V1}/me").status_code == 200

    api.visitor.post(f"{V1}/logout")

    assert api.visitor.get_cookie("session") is None
    assert api.visitor.get(f"{V1}/me").status_code == 401


def test_logout_ends_the_logins_of_the_header_and_of_the_cookie(api: Api, db: Database) -> None:
    in_header, in_cookie = api.token("grace"), api.token("grace")
    api.visitor.set_cookie("session", in_cookie)

    answer = api.visitor.post(f"{V1}/logout", headers={"Authorization": f"Bearer {in_header}"})

    assert answer.status_code == 204
    assert [api.bearer(each).get(f"{V1}/me").status_code for each in (in_header, in_cookie)] == [401, 401]
    assert row_counts(db)["sessions"] == 0


def test_another_site_cannot_end_the_login_of_the_cookie_with_a_token_of_its_own(api: Api) -> None:
    in_header, in_cookie = api.token("grace"), api.token("grace")
    api.visitor.set_cookie("session", in_cookie)
    headers = {"Authorization": f"Bearer {in_header}", "Sec-Fetch-Site": "cross-site"}

    answer = api.visitor.post(f"{V1}/logout", headers=headers)

    assert (answer.status_code, answer.json["code"]) == (403, "cross_site")
    assert "Set-Cookie" not in answer.headers
    assert api.bearer(in_cookie).get(f"{V1}/me").status_code == 200


OTHER_SITES = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
    {"Origin": "https://evil.example"},
    {"Origin": "http://localhost.evil.example"},
    {"Origin": "http://localhost:8080"},
    {"Origin": "null"},
    {"Origin": ""},
]
OUR_PAGES = [{}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {"Origin": "http://localhost"}]


@pytest.mark.parametrize("headers", OTHER_SITES, ids=str)
def test_a_write_with_the_cookie_that_another_site_caused_is_refused(
    api: Api, db: Database, headers: dict[str, str]
) -> None:
    api.visitor.post(f"{V1}/login", json={"id": "grace", "password": PASSWORD})

    answer = api.visitor.post(f"{V1}/project", json={"name": "compilers"}, headers=headers)

    assert (answer.status_code, answer.json["code"]) == (403, "cross_site")
    assert row_counts(db)["projects"] == 0
    assert api.visitor.get(f"{V1}/me", headers=headers).status_code == 200, "reading is the browser's to guard"


@pytest.mark.parametrize("headers", OUR_PAGES, ids=str)
def test_a_write_with_the_cookie_from_our_own_pages_is_done(api: Api, headers: dict[str, str]) -> None:
    api.visitor.post(f"{V1}/login", json={"id": "grace", "password": PASSWORD})

    assert api.visitor.post(f"{V1}/project", json={"name": "compilers"}, headers=headers).status_code == 201


def test_behind_a_proxy_that_ends_tls_our_own_pages_can_write(secure: Api) -> None:
    token = secure.token("grace")
    secure.visitor.set_cookie("__Host-session", token)

    answer = secure.visitor.post(f"{V1}/project", json={"name": "compilers"}, headers={"Origin": "https://localhost"})

    assert answer.status_code == 201


@pytest.mark.parametrize("headers", OTHER_SITES, ids=str)
def test_a_write_with_a_bearer_token_is_done_from_anywhere(api: Api, headers: dict[str, str]) -> None:
    member = api.bearer(api.token("grace"))

    assert member.post(f"{V1}/project", json={"name": "compilers"}, headers=headers).status_code == 201

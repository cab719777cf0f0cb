"""Pages of other origins may call the API when their origin is named, with a token and never with the cookie."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.api import V1, Api, newcomer, open_api
from support.world import Time
from werkzeug.test import TestResponse

pytestmark = pytest.mark.one_database

PORTAL, OTHER = "https://portal.example.com", "http://localhost:3000"
STRANGERS = [
    "https://evil.example",
    "http://portal.example.com",
    "https://portal.example.com:8443",
    "https://portal.example.com.evil.example",
    "https://evilportal.example.com",
    "https://PORTAL.example.com",
    "null",
    "*",
    "",
]
SENT = {"Authorization", "Content-Type", "If-None-Match", "Idempotency-Key", "Last-Event-ID", "X-Request-Id"}
SHOWN = {"ETag", "Idempotency-Replayed", "Link", "Location", "Retry-After", "X-Request-Id"}


@pytest.fixture
def api(db_url: str, time: Time) -> Iterator[Api]:
    with open_api(db_url, time, cors_origins=(PORTAL, OTHER)) as opened:
        yield opened


@pytest.fixture
def closed(db_url: str, time: Time) -> Iterator[Api]:
    with open_api(db_url, time) as opened:
        yield opened


def _preflight(api: Api, path: str, origin: str, method: str = "POST") -> TestResponse:
    headers = {"Origin": origin, "Access-Control-Request-Method": method}
    return api.visitor.options(path, headers={**headers, "Access-Control-Request-Headers": "authorization"})


def _cors_headers(answer: TestResponse) -> dict[str, str]:
    return {name: value for name, value in answer.headers if name.startswith("Access-Control-")}


def _listed(answer: TestResponse, name: str) -> set[str]:
    return set(answer.headers[name].split(", "))


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        (f"{V1}/signup", {"POST"}),
        (f"{V1}/me", {"GET", "HEAD"}),
        (f"{V1}/jobs/01a20680-c483-751f-9394-c54e28bf16d9", {"GET", "HEAD"}),
        (f"{V1}/app/01a20680-c483-751f-9394-c54e28bf16d9", {"GET", "HEAD", "DELETE"}),
        ("/openapi.json", {"GET", "HEAD"}),
    ],
)
@pytest.mark.parametrize("origin", [PORTAL, OTHER])
def test_a_page_asks_first_and_is_told_what_it_may_do(api: Api, path: str, methods: set[str], origin: str) -> None:
    answer = _preflight(api, path, origin)

    assert (answer.status_code, answer.data) == (204, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    assert _listed(answer, "Access-Control-Allow-Methods") == methods
    assert _listed(answer, "Access-Control-Allow-Headers") == SENT
    assert answer.headers["Access-Control-Max-Age"] == "600"
    assert "Origin" in _listed(answer, "Vary")


def test_an_answer_can_be_read_with_the_headers_that_matter(api: Api) -> None:
    answer = api.visitor.post(f"{V1}/signup", json=newcomer("grace"), headers={"Origin": PORTAL})

    assert answer.status_code == 202
    assert answer.headers["Access-Control-Allow-Origin"] == PORTAL
    assert _listed(answer, "Access-Control-Expose-Headers") == SHOWN


@pytest.mark.parametrize(
    ("path", "status"), [("/healthz", 200), (f"{V1}/me", 401), ("/nowhere", 404), (f"{V1}/signup", 405)]
)
def test_a_refusal_can_be_read_too(api: Api, path: str, status: int) -> None:
    answer = api.visitor.get(path, headers={"Origin": PORTAL})

    assert answer.status_code == status
    assert answer.headers["Access-Control-Allow-Origin"] == PORTAL


def test_the_cookie_is_never_allowed(api: Api) -> None:
    answers = [
        _preflight(api, f"{V1}/signup", PORTAL),
        api.visitor.get("/healthz", headers={"Origin": PORTAL}),
        api.visitor.get("/healthz", headers={"Origin": STRANGERS[0]}),
    ]

    assert not any("Access-Control-Allow-Credentials" in answer.headers for answer in answers)


@pytest.mark.parametrize("origin", STRANGERS)
def test_any_other_origin_is_told_nothing(api: Api, origin: str) -> None:
    preflight = _preflight(api, f"{V1}/signup", origin)
    simple = api.visitor.get("/healthz", headers={"Origin": origin})

    assert (_cors_headers(preflight), _cors_headers(simple)) == ({}, {})
    assert preflight.status_code == 200, "an OPTIONS request like any other"
    assert "Origin" in _listed(simple, "Vary"), "a cache must not show this answer to the portal"


def test_what_is_asked_without_an_origin_varies_all_the_same(api: Api) -> None:
    answer = api.visitor.get("/healthz")

    assert _cors_headers(answer) == {}
    assert "Origin" in _listed(answer, "Vary")


def test_a_path_that_does_not_exist_has_nothing_to_allow(api: Api) -> None:
    answer = _preflight(api, "/nowhere", PORTAL)

    assert answer.status_code == 404
    assert "Access-Control-Allow-Methods" not in answer.headers


def test_a_page_is_told_what_it_may_do_while_the_database_is_away(time: Time) -> None:
    with open_api("mysql+pymysql://slipway@127.0.0.1:1/slipway", time, cors_origins=(PORTAL,)) as api:
        preflight = _preflight(api, f"{V1}/signup", PORTAL)
        answer = api.visitor.get(f"{V1}/jobs", headers={"Origin": PORTAL})

    assert preflight.status_code == 204
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (503, PORTAL)


@pytest.mark.parametrize("origin", [PORTAL, *STRANGERS])
def test_unless_origins_are_named_the_api_knows_of_none(closed: Api, origin: str) -> None:
    preflight = _preflight(closed, f"{V1}/signup", origin)
    simple = closed.visitor.get("/healthz", headers={"Origin": origin})

    assert (_cors_headers(preflight), _cors_headers(simple)) == ({}, {})
    assert "Vary" not in simple.headers


def test_the_cookie_of_a_named_origin_still_writes_nothing(api: Api) -> None:
    api.visitor.set_cookie("session", api.token("grace") if api.sign_up("grace").status_code == 202 else "")

    answer = api.visitor.post(f"{V1}/project", json={"name": "compilers"}, headers={"Origin": PORTAL})

    assert (answer.status_code, answer.json["code"]) == (403, "cross_site")

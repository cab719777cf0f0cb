"""HTTP: whatever comes in, what goes out is an answer of a declared shape that gives nothing of ours away."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time as clock
from pathlib import Path
from socket import create_server

import pytest
from flask import Flask
from sqlalchemy import text
from support.api import V1, Api, newcomer, open_api, row_counts
from support.world import Time
from werkzeug.test import TestResponse, create_environ, run_wsgi_app

from api.contract.endpoint import Policy
from api.contract.problems import CODES, Problem
from api.serving import routing
from common.database.engine import Database

pytestmark = pytest.mark.one_database

JSON = "application/json"
HEADERS = ("Cache-Control", "Content-Security-Policy", "Referrer-Policy", "X-Content-Type-Options", "X-Request-Id")
KIB = 1024
SOON_S = 4.0  # of the 5 that health checks give it


@pytest.fixture
def sqlite_file(migrated_sqlite: Path, tmp_path: Path) -> Path:
    """A database of our own to break."""
    return Path(shutil.copy(migrated_sqlite, tmp_path / "broken.db"))


def _assert_problem(answer: TestResponse, status: int, code: str) -> None:
    assert (answer.status_code, answer.json["code"]) == (status, code), answer.text
    assert answer.mimetype == "application/problem+json"
    assert answer.json["status"] == status
    assert answer.json["title"] == CODES[code].title
    assert answer.json["type"] == f"urn:slipway:problem:{code}"
    assert answer.json["request_id"] == answer.headers["X-Request-Id"]
    assert all(name in answer.headers for name in HEADERS)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "malformed_json"),
        (b" ", 400, "malformed_json"),
        (b"{", 400, "malformed_json"),
        (b"{'id': 1}", 400, "malformed_json"),
        (b'{"id": "x",}', 400, "malformed_json"),
        (b'{"id": "x"} x', 400, "malformed_json"),
        (b"\xff\xfe{}", 400, "malformed_json"),
        (b'{"id": "\xe9"}', 400, "malformed_json"),
        (b'{"id": "\\ud800"}', 400, "malformed_json"),
        (b"[" * 60_000, 400, "malformed_json"),
        (b'{"id":' * 9000 + b"1" + b"}" * 9000, 400, "malformed_json"),
        (b'{"id": ' + b"9" * 60_000 + b"}", 400, "malformed_json"),
        (b'{"id": 1e999999, "x": -0.0, "y": NaN, "z": Infinity}', 422, "invalid_fields"),
        (b"[]", 422, "invalid_fields"),
        (b'["id"]', 422, "invalid_fields"),
        (b'"id"', 422, "invalid_fields"),
        (b"null", 422, "invalid_fields"),
        (b"7", 422, "invalid_fields"),
        (b'{"": 1, "\\u0000": 2, "__class__": 3}', 422, "invalid_fields"),
    ],
    ids=lambda value: ascii(value)[:30],
)
@pytest.mark.parametrize("path", ["signup", "login"])
def test_a_body_that_is_no_json_object_is_refused(api: Api, path: str, body: bytes, status: int, code: str) -> None:
    answer = api.visitor.post(f"{V1}/{path}", data=body, content_type=JSON)

    _assert_problem(answer, status, code)


def test_a_malformed_body_is_told_where(api: Api) -> None:
    answer = api.visitor.post(f"{V1}/login", data='{"id": "x"\n "password": "canary"}', content_type=JSON)

    assert "line 2 column 2" in answer.json["detail"]
    assert "canary" not in answer.text


def test_a_refusal_does_not_repeat_the_value(api: Api) -> None:
    answer = api.visitor.post(
        f"{V1}/signup", json=newcomer("grace", password=["canary"], email="canary", team="canary")
    )

    assert answer.status_code == 422
    assert "canary" not in answer.text


def test_an_answer_does_not_grow_with_the_number_of_faults(api: Api) -> None:
    answer = api.visitor.post(f"{V1}/login", json={f"f{number}": 1 for number in range(4000)})

    _assert_problem(answer, 422, "invalid_fields")
    assert len(answer.data) < 64 * KIB


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "text/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
     "application/json, text/plain", "application/jsonx", "application/problem+json"],
)  # fmt: skip
def test_a_body_of_another_type_is_refused(api: Api, content_type: str) -> None:
    answer = api.visitor.post(f"{V1}/login", data='{"id": "x", "password": "y"}', content_type=content_type)

    _assert_problem(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize("content_type", [JSON, "application/json; charset=utf-8", "Application/JSON"])
def test_json_is_json_however_it_is_spelt(api: Api, content_type: str) -> None:
    answer = api.visitor.post(f"{V1}/login", data='{"id": "x", "password": "y"}', content_type=content_type)

    _assert_problem(answer, 401, "invalid_credentials")


@pytest.mark.parametrize(("length", "status"), [(64 * KIB - 1, 400), (64 * KIB, 413), (1024 * KIB, 413)])
def test_64_kib_are_too_much(api: Api, length: int, status: int) -> None:
    answer = api.visitor.post(f"{V1}/signup", data=b" " * length, content_type=JSON)

    _assert_problem(answer, status, {400: "malformed_json", 413: "too_large"}[status])


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/signup", {"OPTIONS", "POST"}),
        ("DELETE", "/login", {"OPTIONS", "POST"}),
        ("POST", "/me", {"GET", "HEAD", "OPTIONS"}),
        ("PATCH", "/jobs/x", {"GET", "HEAD", "OPTIONS"}),
        ("BREW", "/jobs", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_another_method_is_answered_with_those_that_are_allowed(
    api: Api, method: str, path: str, allowed: set[str]
) -> None:
    answer = api.visitor.open(f"{V1}{path}", method=method)

    _assert_problem(answer, 405, "method_not_allowed")
    assert set(answer.headers["Allow"].split(", ")) == allowed


@pytest.mark.parametrize(
    "path",
    ["/api", "/api/v2/me", "/api/v1/", "/api/v1/me/", "/api//v1/me", "/api/v1/SIGNUP", "/static/x", "/%00", "/%3Cb%3E"],
)
def test_an_unknown_path_is_a_problem_that_names_it_and_the_description(api: Api, path: str) -> None:
    answer = api.visitor.get(path)

    _assert_problem(answer, 404, "no_such_path")
    assert answer.json["detail"] == (
        f"There is nothing at {path}. The API is described at /docs, for programs at /openapi.json."
    )


def test_a_long_unknown_path_is_not_repeated_as_a_whole(api: Api) -> None:
    detail = api.visitor.get("/" + "x" * 1000).json["detail"]

    assert ("x" * 199 in detail, "x" * 200 in detail) == (True, False)


def test_programs_find_their_way_from_the_root(api: Api) -> None:
    answer = api.visitor.get("/")

    pages = [answer.json[name] for name in ("console", "documentation", "openapi", "health")]
    assert pages == ["/console", "/docs", "/openapi.json", "/readyz"]
    assert all(api.visitor.get(path).status_code == 200 for path in pages)


def test_a_browser_finds_links_at_the_root(api: Api) -> None:
    answer = api.visitor.get("/", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})

    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    assert all(f'<a href="{path}">' in answer.text for path in ("console", "docs"))


def test_head_answers_as_get_without_a_body(api: Api) -> None:
    job = f"{V1}/jobs/{api.sign_up('grace').json['job_id']}"

    get, head = api.visitor.get(job), api.visitor.head(job)

    assert (head.status_code, head.data) == (200, b"")
    assert head.headers["ETag"] == get.headers["ETag"]
    assert head.headers["Content-Length"] == str(len(get.data))


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/healthz"), ("GET", "/readyz"), ("HEAD", "/healthz"), ("OPTIONS", f"{V1}/signup"), ("GET", "/nowhere"),
     ("GET", f"{V1}/me"), ("POST", f"{V1}/signup"), ("PUT", f"{V1}/signup")],
)  # fmt: skip
def test_every_answer_carries_the_headers_that_protect_it(api: Api, method: str, path: str) -> None:
    answer = api.visitor.open(path, method=method)

    assert all(name in answer.headers for name in HEADERS)
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("given", ["01890000-0000-7000-8000-000000000000", "abcdefgh", "A" * 64])
def test_a_well_formed_request_id_is_taken_over(api: Api, db: Database, given: str) -> None:
    answer = api.visitor.post(f"{V1}/signup", json=newcomer("grace"), headers={"X-Request-Id": given})

    assert answer.headers["X-Request-Id"] == given
    assert db.read(lambda session: session.scalar(text("SELECT request_id FROM jobs"))) == given


@pytest.mark.parametrize(
    "given", ["", "short", "A" * 65, "with blank", "<script>", "quote'quote", "é" * 10, "a_b_c_d_e"]
)
def test_any_other_request_id_is_replaced(api: Api, given: str) -> None:
    answer = api.visitor.get("/nowhere", headers={"X-Request-Id": given})

    _assert_problem(answer, 404, "no_such_path")
    assert answer.headers["X-Request-Id"] != given
    assert len(answer.headers["X-Request-Id"]) == 36


def test_an_unknown_host_is_refused(db_url: str, time: Time) -> None:
    with open_api(db_url, time, trusted_hosts=("slipway.example.com",)) as api:
        known = api.visitor.get("/healthz", base_url="http://slipway.example.com")
        unknown = api.visitor.get("/healthz", base_url="http://evil.example")

    assert known.status_code == 200
    _assert_problem(unknown, 400, "bad_request")


@pytest.mark.parametrize("host", [None, "", "slipway.example.com,evil.example", "http://slipway", "a b", "a@b"])
def test_http_1_1_without_one_host_is_refused(api: Api, host: str | None) -> None:
    environ = create_environ("/healthz")
    del environ["HTTP_HOST"]

    given = {} if host is None else {"HTTP_HOST": host}
    body, status, headers = run_wsgi_app(api.app.wsgi_app, environ | given)

    assert status == "400 BAD REQUEST"
    assert headers["Content-Type"] == "application/problem+json"
    assert json.loads(b"".join(body))["code"] == "bad_request"


def test_http_1_0_needs_no_host(api: Api) -> None:
    environ = create_environ("/healthz") | {"SERVER_PROTOCOL": "HTTP/1.0"}
    del environ["HTTP_HOST"]

    assert run_wsgi_app(api.app.wsgi_app, environ)[1] == "200 OK"


def test_a_call_that_nobody_declared_stops_the_start() -> None:
    app = Flask("undeclared", static_folder=None)
    app.add_url_rule("/backdoor", view_func=lambda: "open")

    with pytest.raises(RuntimeError, match="/backdoor"):
        routing.declared_endpoints(app)


def test_a_problem_that_its_call_does_not_declare_fails_whatever_test_meets_it(time: Time) -> None:
    def served() -> None:
        raise Problem("taken")

    def meet_it() -> None:
        with open_api("mysql+pymysql://slipway@127.0.0.1:1/slipway", time) as api:
            served.__dict__["call"] = next(
                call for call in routing.declared_endpoints(api.app) if call.name == "show_docs"
            )
            api.app.view_functions["docs.show_docs"] = served
            _assert_problem(api.visitor.get("/docs"), 409, "taken")

    with pytest.raises(AssertionError, match="show_docs: taken"):
        meet_it()


OPEN = (Policy.PUBLIC, Policy.HOLDER, Policy.VISITOR)


def test_these_calls_and_no_others_are_open_to_anyone(api: Api) -> None:
    is_open = {call.name for call in routing.declared_endpoints(api.app) if call.policy in OPEN}

    of_a_job = {"show_job", "follow_job", "retry_job"}
    of_a_person = {"sign_up", "log_in", "log_in_as_published", "log_out", "confirm_reset"}
    of_a_mail = {"confirm_signup", "resend_confirmation", "request_reset", "show_confirm_page"}
    of_the_document = {"show_document", "show_docs", "send_asset"}
    of_the_console = {"show_start", "show_console", "send_console_file"}
    assert is_open == {
        "is_alive", "is_ready", "list_teams", *of_a_job, *of_a_person, *of_a_mail, *of_the_document, *of_the_console
    }  # fmt: skip


def test_every_other_call_needs_a_login(api: Api) -> None:
    closed = [call for call in routing.declared_endpoints(api.app) if call.policy not in OPEN]

    answers = [api.visitor.open(call.path, method=call.method, json={"name": "x"}) for call in closed]

    assert len(answers) >= 8
    for call, answer in zip(closed, answers, strict=True):
        _assert_problem(answer, 401, "no_metrics_token" if call.policy is Policy.SCRAPER else "not_logged_in")
        assert answer.headers["WWW-Authenticate"] == "Bearer"


# -- when something breaks ----------------------------------------------------------------------------------------


def test_a_crash_gives_a_request_id_and_nothing_else_away(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    def crash() -> str:
        raise RuntimeError("canary")

    api.app.add_url_rule("/crash", view_func=crash)
    answer = api.visitor.get("/crash")

    _assert_problem(answer, 500, "internal")
    assert "canary" not in answer.text
    assert answer.json["request_id"] in {getattr(record, "request_id", None) for record in caplog.records}


def test_a_database_that_is_away_is_said_to_be_away(time: Time, caplog: pytest.LogCaptureFixture) -> None:
    with open_api("mysql+pymysql://slipway:canary@127.0.0.1:1/slipway", time) as api:
        answers = [
            api.sign_up("grace"),
            api.visitor.get(f"{V1}/jobs"),
            api.visitor.get("/readyz"),
        ]
        alive = api.visitor.get("/healthz")

    for answer in answers:
        _assert_problem(answer, 503, "unavailable")
        assert answer.headers["Retry-After"] == "5"
        assert "canary" not in answer.text
        assert "127.0.0.1" not in answer.text
    assert alive.status_code == 200
    assert "canary" not in caplog.text


def test_who_asks_whether_work_can_be_taken_is_not_kept_waiting_by_a_database_that_says_nothing(time: Time) -> None:
    with (
        create_server(("127.0.0.1", 0)) as listener,
        open_api(f"mysql+pymysql://slipway@127.0.0.1:{listener.getsockname()[1]}/slipway", time) as api,
    ):
        began_s = clock.monotonic()
        answer = api.visitor.get("/readyz")
        took_s = clock.monotonic() - began_s

    _assert_problem(answer, 503, "unavailable")
    assert took_s < SOON_S


def test_a_database_without_our_schema_is_answered_with_what_to_type(time: Time, tmp_path: Path) -> None:
    with open_api(f"sqlite:///{tmp_path}/empty.db", time) as api:
        answer = api.sign_up("grace")

    _assert_problem(answer, 503, "unavailable")
    assert "flask --app api db upgrade" in answer.json["detail"]


def test_a_database_that_breaks_under_way_takes_back_the_whole_request(
    sqlite_file: Path, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    with open_api(f"sqlite:///{sqlite_file}", time) as api:
        assert api.sign_up("grace").status_code == 202
        _rename(sqlite_file, "steps", "steps_elsewhere")

        answer = api.sign_up("hopper", password="canary in the coal mine")

        _rename(sqlite_file, "steps_elsewhere", "steps")
        assert row_counts(api.service.db)["users"] == 1
        assert row_counts(api.service.db)["jobs"] == 1
    _assert_problem(answer, 503, "unavailable")
    assert answer.headers["Retry-After"] == "5"
    assert not {"steps", "sqlite", "INSERT", "canary"} & set(answer.text.replace('"', " ").split())
    assert "canary" not in caplog.text


def _rename(file: Path, table: str, name: str) -> None:
    connection = sqlite3.connect(file)
    connection.execute(f"ALTER TABLE {table} RENAME TO {name}")
    connection.close()


def test_readiness_returns_with_the_schema(sqlite_file: Path, time: Time) -> None:
    with open_api(f"sqlite:///{sqlite_file}", time) as api:
        assert api.visitor.get("/readyz").json == {"status": "ok", "broker": "not known to be away"}

        _rename(sqlite_file, "alembic_version", "gone")
        _assert_problem(api.visitor.get("/readyz"), 503, "unavailable")

        _rename(sqlite_file, "gone", "alembic_version")
        assert api.visitor.get("/readyz").status_code == 200

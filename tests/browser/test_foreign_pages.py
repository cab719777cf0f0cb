"""A page of somebody else, in a real browser in which a person is logged in, can start, change and end nothing.

The pages are of another site (`localhost`) and of the same site on another port (`127.0.0.1`). What counts as an effect
is a row of what people make or hold, and who is logged in afterwards.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import requests
from support.browser import Browser
from support.stack import PASSWORD, Stack

V1 = "/api/v1"
VICTIM, ATTACKER, APP = "victim", "mallory", "storefront"
SCRIPT = Path(__file__).with_name("foreign.js")
TABLES = ("jobs", "users", "projects", "apps", "sessions", "api_tokens", "password_resets", "invites")
LEAVES_WITHIN_S = 0.25
OF_OUR_OWN = {"Sec-Fetch-Site": "same-origin"}
SEND = """
    const sent = {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(arguments[1])};
    return (await fetch(arguments[0], sent)).status;
"""

Target = dict[str, Any]


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        is_script = self.path == "/foreign.js"
        body = SCRIPT.read_bytes() if is_script else b"<!doctype html><body><script src='/foreign.js'></script>"
        self.send_response(200)
        self.send_header("Content-Type", "text/javascript" if is_script else "text/html")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The port of the foreign pages."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def targets(stack: Stack) -> list[Target]:
    """Everything that would have an effect if the victim, or nobody, called it from a page of ours."""
    victim = stack.person(VICTIM)
    stack.person(ATTACKER)
    project_id = victim.make_project("web")
    job_id = victim.make_app(project_id, APP)
    victim.follow(job_id)
    app_id = victim.job(job_id)["app_id"]
    newcomer = {"id": "newcomer", "email": "n@example.com", "name": "N", "password": PASSWORD, "team": "dev"}
    return [
        {"method": "POST", "path": f"{V1}/logout"},
        {"method": "POST", "path": f"{V1}/login", "body": {"id": ATTACKER, "password": PASSWORD}},
        {"method": "POST", "path": f"{V1}/signup", "body": newcomer},
        {"method": "POST", "path": f"{V1}/project", "body": {"name": "planted", "description": ""}},
        {
            "method": "POST",
            "path": f"{V1}/app",
            "body": {"project_id": project_id, "name": "planted", "type": "Spring"},
        },
        {"method": "GET", "path": f"{V1}/jenkins/{app_id}"},
        {"method": "POST", "path": f"{V1}/app/{app_id}/builds", "body": {}},
        {"method": "DELETE", "path": f"{V1}/app/{app_id}?confirm={APP}"},
        {"method": "DELETE", "path": f"{V1}/me/sessions"},
    ]


@pytest.fixture
def logged_in(stack: Stack, browser: Browser, targets: list[Target]) -> Browser:
    assert targets
    browser.open(f"{stack.embedded.api_url}/docs")
    assert browser.run(SEND, f"{V1}/login", {"id": VICTIM, "password": PASSWORD}) == 201
    return browser


def _rows(stack: Stack) -> Mapping[str, int]:
    file = stack.embedded.root / "slipway.db"
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as db:
        return {table: db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in TABLES}  # noqa: S608 - ours


def _who(stack: Stack, browser: Browser) -> object:
    """Return who is logged in by the cookie that the browser has now."""
    browser.open(f"{stack.embedded.api_url}/healthz")
    cookie = browser.cookie("session")
    answer = requests.get(
        f"{stack.embedded.api_url}{V1}/me", cookies={"session": cookie}, headers=OF_OUR_OWN, timeout=10
    )
    return answer.json().get("id")


def _leaves(vector: str) -> bool:
    return vector == "navigation" or (vector.startswith("form") and not vector.endswith("in a frame"))


def _attack(browser: Browser, page: str, vector: str, api: str, targets: list[Target]) -> None:
    if not _leaves(vector):
        browser.open(page)
        assert browser.run("await window.attack(...arguments)", vector, api, targets) is None
        return
    for target in targets:  # the page is gone after each
        browser.open(page)
        browser.run("setTimeout(() => window.attack(...given), 0); const given = [...arguments]", vector, api, [target])
        time.sleep(LEAVES_WITHIN_S)


@pytest.mark.parametrize("site", ["localhost", "127.0.0.1"], ids=["another site", "another port"])
def test_a_foreign_page_has_no_effect_by_any_vector(
    stack: Stack, logged_in: Browser, port: int, targets: list[Target], site: str
) -> None:
    page, api = f"http://{site}:{port}/", stack.embedded.api_url
    logged_in.open(page)
    vectors = logged_in.run("return Object.keys(window.VECTORS)")
    before = _rows(stack)

    effects = {}
    for vector in vectors:
        _attack(logged_in, page, vector, api, targets)
        after, who = _rows(stack), _who(stack, logged_in)
        if (after, who) != (before, VICTIM):
            effects[vector] = {"who": who, **{table: after[table] - before[table] for table in TABLES}}
            break

    assert len(vectors) >= 39
    assert effects == {}


def test_a_page_of_our_own_has_an_effect(stack: Stack, logged_in: Browser, targets: list[Target]) -> None:
    """Or nothing above would prove anything."""
    before, planted = _rows(stack), next(each for each in targets if each["path"].endswith("/project"))

    status = logged_in.run(SEND, planted["path"], planted["body"])

    assert status in (200, 201)
    assert _rows(stack)["projects"] == before["projects"] + 1

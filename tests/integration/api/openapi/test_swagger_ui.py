"""The page of the interface works off-line under a policy that runs nothing but our own files."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator

import pytest
from support.api import Api, open_api
from support.world import Time
from werkzeug.test import TestResponse

from api.openapi.swagger_ui import ASSETS

TYPES = {"js": "text/javascript", "css": "text/css", "png": "image/png"}
NAMED = re.compile(r'(?:src|href)="([^"]+)"')


@pytest.fixture
def api(time: Time) -> Iterator[Api]:
    with open_api("mysql+pymysql://slipway@127.0.0.1:1/slipway", time) as opened:  # it needs no database
        yield opened


@pytest.fixture
def page(api: Api) -> TestResponse:
    return api.visitor.get("/docs")


def _policy(answer: TestResponse) -> dict[str, str]:
    directives = (part.strip().partition(" ") for part in answer.headers["Content-Security-Policy"].split(";"))
    return {name: value for name, _, value in directives}


def test_everything_that_the_page_names_is_served(api: Api, page: TestResponse) -> None:
    named = NAMED.findall(page.text)

    assert {name.partition("?")[0].rpartition("/")[2] for name in named} == {*ASSETS, "openapi.json"}
    for name in named:
        answer = api.visitor.get(f"/{name}")
        assert answer.status_code == 200, name
        assert answer.mimetype == TYPES.get(name.partition("?")[0].rpartition(".")[2], "application/json")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_the_page_runs_our_own_files_and_nothing_else(page: TestResponse) -> None:
    assert page.mimetype == "text/html"
    assert _policy(page) == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }


def test_nothing_is_inline_and_nothing_is_fetched_from_elsewhere(api: Api, page: TestResponse) -> None:
    start = api.visitor.get("/docs/assets/docs.js").text

    assert not re.search(r"<script(?![^>]* src=)|<style|\son\w+=|\sstyle=|javascript:", page.text)
    assert not re.search(r"//\w|https?:", page.text)
    assert not re.search(r"[\"'](?:https?:)?//", start)
    assert "validatorUrl: null" in start, "the default is a host on the internet"


@pytest.mark.parametrize("file", ASSETS)
def test_a_file_is_kept_by_the_browser_until_it_is_another(api: Api, page: TestResponse, file: str) -> None:
    answer = api.visitor.get(f"/docs/assets/{file}")
    again = api.visitor.get(f"/docs/assets/{file}", headers={"If-None-Match": answer.headers["ETag"]})

    assert "max-age=31536000" in answer.headers["Cache-Control"]
    assert (again.status_code, again.data) == (304, b"")
    assert f"docs/assets/{file}?{answer.headers['ETag'].removeprefix('W/').strip(chr(34))}" in page.text


def test_what_travels_zipped_is_the_same_file(api: Api) -> None:
    plain = api.visitor.get("/docs/assets/swagger-ui-bundle.js")
    zipped = api.visitor.get("/docs/assets/swagger-ui-bundle.js", headers={"Accept-Encoding": "br, gzip"})

    assert zipped.headers["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in zipped.headers["Vary"]
    assert gzip.decompress(zipped.data) == plain.data
    assert len(zipped.data) < len(plain.data) / 3


@pytest.mark.parametrize(
    "file", ["", "secret.py", "docs.py", "..%2fdocs.py", "%2e%2e/docs.js", "index.html", "DOCS.JS", "docs.js%00"]
)
def test_no_other_file_is_served(api: Api, file: str) -> None:
    answer = api.visitor.get(f"/docs/assets/{file}")

    assert answer.status_code == 404
    assert answer.json["code"] in ("not_found", "no_such_path")

"""The console is served with its own policy, in few bytes, behind any prefix, and kept until it is another."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from urllib.parse import urljoin

import pytest
from support.api import Api, open_api
from support.world import Time
from werkzeug.test import TestResponse

from api.views import console

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
NAMED = re.compile(r'(?:src|href)="([^"]+)"')
ZIPPED_BYTES_AT_MOST = 120_000
TYPES = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}


@pytest.fixture(scope="module")
def api(time: Time) -> Iterator[Api]:
    with open_api("mysql+pymysql://slipway@127.0.0.1:1/slipway", time, proxy_count=1) as opened:  # needs no database
        yield opened


@pytest.fixture(scope="module")
def page(api: Api) -> TestResponse:
    return api.visitor.get("/console")


def test_every_file_that_the_page_names_is_served(api: Api, page: TestResponse) -> None:
    named = [name for name in NAMED.findall(page.text) if "/assets/" in name]

    assert {name.rpartition("/")[2] for name in named} == set(console.files())
    for name in named:
        answer = api.visitor.get(f"/{name}")
        assert (answer.status_code, answer.mimetype) == (200, TYPES[name.rpartition(".")[2]]), name
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_every_module_that_is_imported_is_served() -> None:
    imported = {
        name
        for asset in console.files().values()
        if asset.media_type == "text/javascript"
        for name in re.findall(r'from ?"\./([\w-]+\.js)"', asset.content.decode())
    }

    assert imported | {console.FIRST} == {file for file in console.files() if file.endswith(".js")}


@pytest.mark.parametrize("path", ["/", "/console"])
def test_a_page_runs_our_own_files_and_nothing_else(api: Api, path: str) -> None:
    page = api.visitor.get(path, headers=BROWSER)
    parts = (part.strip().partition(" ") for part in page.headers["Content-Security-Policy"].split(";"))

    assert page.mimetype == "text/html"
    assert {name: value for name, _, value in parts} == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert not re.search(r"<script(?![^>]* src=)|<style|\son\w+=|\sstyle=|javascript:|//\w", page.text)


def test_all_files_together_travel_in_few_bytes() -> None:
    assert sum(len(asset.zipped) for asset in console.files().values()) <= ZIPPED_BYTES_AT_MOST


def test_a_file_is_kept_until_it_is_another_and_asked_for_while_replicas_differ(api: Api) -> None:
    present, other = console.version_of_all(), "0" * 16
    kept, asked = (api.visitor.get(f"/console/assets/{version}/main.js") for version in (present, other))
    again = api.visitor.get(f"/console/assets/{other}/main.js", headers={"If-None-Match": asked.headers["ETag"]})

    assert "max-age=31536000, immutable" in kept.headers["Cache-Control"]
    assert asked.headers["Cache-Control"] == "public, no-cache"
    assert (again.status_code, again.data) == (304, b"")


def test_what_travels_zipped_is_the_same_file(api: Api) -> None:
    path = f"/console/assets/{console.version_of_all()}/messages.js"
    plain, zipped = (api.visitor.get(path, headers={"Accept-Encoding": each}) for each in ("", "gzip"))

    assert zipped.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(zipped.data) == plain.data


def test_behind_a_prefix_its_addresses_lead_below_the_prefix(api: Api) -> None:
    behind = {"X-Forwarded-Prefix": "/slipway"}
    address = "https://host.example/slipway/console"
    page = api.visitor.get("/console", headers=behind)
    start = api.visitor.get("/", headers={**behind, **BROWSER})

    assert all(urljoin(address, name).startswith("https://host.example/slipway/") for name in NAMED.findall(page.text))
    assert {"console", "docs"} <= set(NAMED.findall(start.text))


@pytest.mark.parametrize("file", ["index.html", "preact.d.ts", "..%2f..%2fREADME.md", "main.js%00", "MAIN.JS", ""])
def test_no_other_file_is_served(api: Api, file: str) -> None:
    answer = api.visitor.get(f"/console/assets/{console.version_of_all()}/{file}")

    assert answer.status_code == 404
    assert answer.json["code"] in ("not_found", "no_such_path")

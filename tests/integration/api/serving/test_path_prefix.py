"""Behind a proxy that removes a prefix of the path, whatever a client is told to ask for has that prefix."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
import requests
from support.api import PASSWORD, V1, admit, newcomer, open_api, serve
from support.prefix_proxy import PREFIX, prefix_proxy
from support.world import Time

from api.openapi import build
from common.database.engine import Database

pytestmark = pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)  # no table has anything to do with it


@pytest.fixture
def proxy(db_url: str, tmp_path: Path) -> Iterator[str]:
    with serve(db_url, tmp_path / "log", proxy_count="1") as address, prefix_proxy(address) as url:
        yield url


def test_whatever_clients_are_led_to_is_below_the_prefix(proxy: str, db: Database) -> None:
    person = requests.Session()
    here = f"{proxy}{PREFIX}"
    accepted = person.post(f"{here}{V1}/signup", json=newcomer("grace"))
    admit(db, "grace")
    logged_in = person.post(f"{here}{V1}/login", json={"id": "grace", "password": PASSWORD})
    page = person.get(f"{here}/docs")
    document = person.get(urljoin(page.url, "openapi.json")).json()

    assert accepted.json()["status_url"] == accepted.headers["Location"]
    assert person.get(urljoin(proxy, accepted.headers["Location"])).json()["job_id"] == accepted.json()["job_id"]
    assert f"Path={PREFIX};" in f"{logged_in.headers['Set-Cookie']};"
    assert person.get(f"{here}{V1}/me").json()["id"] == "grace"
    assert person.get(f"{here}{V1}/jobs/none").json()["instance"] == f"{PREFIX}{V1}/jobs/none"
    assert person.get(urljoin(proxy, person.get(f"{here}/").json()["documentation"])).status_code == 200
    for linked in ("docs/assets/docs.js", "docs/assets/swagger-ui-bundle.js"):
        assert linked in page.text
        assert person.get(urljoin(page.url, linked)).status_code == 200
    (server,) = document["servers"]
    assert person.get(f"{urljoin(page.url, server['url'])}{V1}/me").status_code == 200
    assert person.get(f"{proxy}{V1}/me").status_code == 404, "the proxy serves nothing else"
    assert person.get(f"{here}{V1}/me", headers={"SCRIPT_NAME": "/of-the-client"}).status_code == 200


@pytest.mark.parametrize(
    ("count", "sent", "root"),
    [
        (0, "/slipway", "/"),
        (1, "/slipway", "/slipway"),
        (2, "/slipway/", "/slipway"),
        (1, "/of-the-client, /slipway", "/slipway"),
        (1, "", "/"),
        (1, "/", "/"),
        (1, "//evil.example", "/"),
        (1, "/../up", "/"),
        (1, "https://evil.example/x", "/"),
        (1, "/a b", "/"),
        (1, "/" + "a" * 199, "/" + "a" * 199),
        (1, "/" + "a" * 200, "/"),
    ],
)
def test_the_prefix_is_believed_from_a_proxy_and_only_as_a_path(
    db_url: str, time: Time, count: int, sent: str, root: str
) -> None:
    with open_api(db_url, time, proxy_count=count) as api:
        answer = api.visitor.get("/openapi.json", headers={"X-Forwarded-Prefix": sent})

    assert answer.json["servers"] == [{"url": root}]


def test_the_document_is_built_once_however_many_prefixes_are_sent(
    db_url: str, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[str] = []
    document = build.document

    def counted(*arguments: Any, **named: Any) -> Any:
        built.append(named["cookie"])
        return document(*arguments, **named)

    monkeypatch.setattr(build, "document", counted)
    with open_api(db_url, time, proxy_count=1) as api:
        for number in range(6):
            answer = api.visitor.get("/openapi.json", headers={"X-Forwarded-Prefix": f"/{number}"})
            assert answer.json["servers"] == [{"url": f"/{number}"}]

    assert len(built) == 1


def test_below_a_prefix_a_secure_cookie_goes_to_nobody_else_on_the_host(db_url: str, time: Time) -> None:
    with open_api(db_url, time, proxy_count=1, cookie_secure=True) as api:
        api.sign_up("grace")
        api.admit("grace")
        behind = {"X-Forwarded-Prefix": PREFIX}
        answer = api.visitor.post(f"{V1}/login", json={"id": "grace", "password": PASSWORD}, headers=behind)

    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Secure-session=")
    assert f"Path={PREFIX}" in cookie

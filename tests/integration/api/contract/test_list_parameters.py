"""What a list is asked for: each parameter that is not as the document says is named, nothing is guessed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient
from support import bulk_data
from support.api import V1, open_api
from support.fake_worker import ABSENT
from support.lists import listings
from support.world import Time

from common.database.engine import Database

LISTS = ("jobs", "builds", "deploys", "apps", "projects")
OF_ALL = {
    "limit": ("0", "101", "-1", "+5", "05", " 5", "5.0", "1_0", "", "x", "9" * 5000, "٥"),
    "cursor": ("", "x", "é", "\0", f"{ABSENT} ", ABSENT.upper().replace("1", "A")),
    "user": ("", "Grace", "é", "grace\0", "-grace", "grace ", "x" * 65, "%"),
    "total": ("", "1", "True", "yes", "null"),
    "since": ("", "yesterday"),
    "page": ("1",),
    "Limit": ("5",),
}
OF_ONE: dict[str, dict[str, tuple[str, ...]]] = {
    "jobs": {
        "state": ("", "done", "FAILED", "é", "failed,", "failed, queued", ",failed"),
        "kind": ("", "repair", "é"),
        "app_id": ("", "x", "é"),
        "team": ("", "é", "dev ", "-dev", "x" * 65, "dev\0"),
        "type": ("Flask",),
    },
    "builds": {"state": ("", "done"), "kind": ("build",), "app_id": (ABSENT,), "team": ("dev",)},
    "deploys": {"state": ("", "done"), "kind": ("deploy",)},
    "apps": {"type": ("", "flask", "Rails", "é"), "state": ("failed",), "team": ("dev",)},
    "projects": {"state": ("failed",), "type": ("Flask",), "name": ("", "x" * 101)},
}


pytestmark = pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)  # refused before any database is asked


@pytest.fixture
def dev(db_url: str, time: Time) -> Iterator[FlaskClient]:
    with open_api(db_url, time) as api:
        yield api.member("grace")


@pytest.fixture
def paths(db: Database) -> dict[str, str]:
    return {listing.name: listing.path for listing in listings(bulk_data.fill(db, 20))}


@pytest.mark.parametrize(
    "since",
    [
        "", "now", "1779019200", "1779019200.5", "P1D", "2026-05-17", "2026-05-17T12:00:00", "2026-05-17 12:00:00Z",
        "20260517T120000Z", "2026-W20-7T12:00:00Z", "2026-05-17T12:00Z", "2026-05-17T12:00:00+0200",
        "2026-05-17T12:00:00+02", "2026-05-17T12:00:00 02:00", "2026-05-17T12:00:00,5Z", "2026-05-17T12:00:00.Z",
        "2026-02-30T12:00:00Z", "2026-13-01T12:00:00Z", "2026-05-17T24:00:00Z", "2026-05-17T12:60:00Z",
        "2026-05-17T12:00:61Z", "2026-05-17T12:00:00+24:00", "2026-05-17T12:00:00+02:60", "2026-05-17T12:00:00Z ",
        "2026-05-17T12:00:00Z\n", "٢٠٢٦-05-17T12:00:00Z", "+2026-05-17T12:00:00Z",
        f"2026-05-17T12:00:00.{'1' * 5000}Z",
    ],
    ids=lambda value: ascii(value)[:30],
)  # fmt: skip
def test_a_moment_of_any_other_form_is_refused(dev: FlaskClient, since: str) -> None:
    answer = dev.get(f"{V1}/jobs", query_string={"since": since})

    assert (answer.status_code, [error["field"] for error in answer.json["errors"]]) == (422, ["since"])


@pytest.mark.parametrize("name", LISTS)
def test_each_wrong_parameter_is_named(dev: FlaskClient, paths: dict[str, str], name: str) -> None:
    for field, values in {**OF_ALL, **OF_ONE[name]}.items():
        for value in values:
            answer = dev.get(paths[name], query_string={field: value})

            assert (answer.status_code, [each["field"] for each in answer.json["errors"]]) == (422, [field]), value


@pytest.mark.parametrize("name", LISTS)
def test_a_repeated_parameter_is_named(dev: FlaskClient, paths: dict[str, str], name: str) -> None:
    for field in ("limit", "cursor", "user", "since", "total", *OF_ONE[name]):
        answer = dev.get(f"{paths[name]}?{field}=1&{field}=1")

        assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, field)
        assert answer.json["errors"][0]["code"] == "repeated"


def test_all_that_is_wrong_is_said_together(dev: FlaskClient) -> None:
    answer = dev.get(f"{V1}/jobs?limit=0&state=done&since=now&user=É&total=maybe")

    assert {each["field"] for each in answer.json["errors"]} == {"limit", "state", "since", "user", "total"}

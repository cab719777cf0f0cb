"""Builds: one a request however often it arrives, and none that nobody asked for."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from threading import Barrier
from time import time_ns
from types import SimpleNamespace

import pytest
from flask.testing import FlaskClient
from sqlalchemy import update
from support.api import PASSWORD, V1, Api, add_app, add_project, open_api, row_counts, serve, without_request_id
from support.fake_worker import ABSENT, add_build, add_provisioned, claim, count_jobs, fail, job, record, succeed
from support.world import Time

from common.database import ids
from common.database.engine import Database
from common.database.models import App
from common.states import Provenance

pytestmark = pytest.mark.one_database

RACERS = 20


@pytest.fixture
def app_id(dev: FlaskClient, db: Database) -> str:
    return add_provisioned(db, dev)


def _build(member: FlaskClient, app_id: str, **body: str) -> str:
    answer = member.post(f"{V1}/app/{app_id}/builds", json=body)
    assert answer.status_code == 202, answer.text
    job_id: str = answer.json["job_id"]
    return job_id


def test_jobs_of_an_app_are_in_the_order_of_acceptance_whatever_the_clock_of_the_host(
    dev: FlaskClient, app_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(tag: str) -> str:
        job_id = _build(dev, app_id, image_tag=tag)
        dev.post(f"{V1}/jobs/{job_id}/cancel", json={})  # it would be in the way of the next one
        return job_id

    first = build("1")
    monkeypatch.setattr(ids, "time", SimpleNamespace(time_ns=lambda: time_ns() - 2_000_000_000))
    others = [build(tag) for tag in ("2", "3")]

    listed = [each["job_id"] for each in dev.get(f"{V1}/jobs?kind=build").json["jobs"]]

    assert [first, *others] == sorted([first, *others])
    assert listed == [*reversed(others), first]
    assert dev.get(f"{V1}/app/{app_id}").json["last_build"]["job_id"] == others[-1]


def test_a_build_is_accepted_with_what_provisioning_learnt(dev: FlaskClient, db: Database, app_id: str) -> None:
    answer = dev.post(f"{V1}/app/{app_id}/builds", json={"image_tag": "1.2.3", "branch": "feature/x"})

    job_id = answer.json["job_id"]
    assert answer.status_code == 202
    assert answer.json == {
        "job_id": job_id, "status_url": f"{V1}/jobs/{job_id}", "app_id": app_id, "is_new": True,
    }  # fmt: skip
    assert answer.headers["Location"] == f"{V1}/jobs/{job_id}"
    assert job(db, job_id).input == {
        "app": "compiler",
        "type": "Flask",
        "team": "dev",
        "gitlab_address": "http://gitlab.invalid/dev/compiler.git",
        "gitlab_helm_address": "http://gitlab.invalid/dev/compiler_helm.git",
        "default_branch": "main",
        "image_tag": "1.2.3",
        "branch": "feature/x",
    }


def test_the_links_of_a_result_are_for_people(db_url: str, db: Database, time: Time) -> None:
    with open_api(db_url, time, jenkins_ext_url="https://ci.example.com") as api:
        dev = api.member("grace")
        job_id = _build(dev, add_provisioned(db, dev))
        at = "http://jenkins.invalid/job/dev/job/compiler_dev/1/"
        succeed(db, job_id, await_result={"number": 1, "url": at, "console_url": f"{at}console", "result": "SUCCESS"})
        result = dev.get(f"{V1}/jobs/{job_id}").json["result"]

    shown = "https://ci.example.com/job/dev/job/compiler_dev/1/"
    assert (result["url"], result["console_url"], result["number"]) == (shown, f"{shown}console", 1)


def test_a_build_that_is_open_is_the_answer_to_the_same_wish(dev: FlaskClient, db: Database, app_id: str) -> None:
    first = _build(dev, app_id, branch="main")

    assert _build(dev, app_id, branch="main") == first

    claim(db, first, "start_build")
    assert _build(dev, app_id, branch="main") == first
    assert count_jobs(db, "build") == 1


def test_a_build_that_may_have_checked_out_is_followed_by_one_more(dev: FlaskClient, db: Database, app_id: str) -> None:
    """What is pushed after the first build has begun is built by the second, however often it is asked for."""
    first = _build(dev, app_id)
    _reach_jenkins(db, first)

    second = _build(dev, app_id)

    assert (second != first, _build(dev, app_id)) == (True, second)
    other = dev.post(f"{V1}/app/{app_id}/builds", json={"branch": "other"})
    assert (other.status_code, other.json["code"], other.json["job_id"]) == (409, "busy", second)
    _reach_jenkins(db, second)
    assert _build(dev, app_id) not in (first, second)


def test_a_build_can_follow_one_that_is_being_stopped(dev: FlaskClient, db: Database, app_id: str) -> None:
    first = _build(dev, app_id)
    _reach_jenkins(db, first)
    claim(db, first, "start_build")
    assert dev.post(f"{V1}/jobs/{first}/cancel", json={}).json["job_id"] == first
    assert job(db, first).state == "cancelling"

    assert _build(dev, app_id) != first


def _reach_jenkins(db: Database, job_id: str) -> None:
    """Write the intent that precedes the trigger."""
    record(db, job_id, "build", job_id, Provenance.INTENDED, "jenkins")


def test_another_build_waits_for_the_open_one(dev: FlaskClient, db: Database, app_id: str) -> None:
    first = _build(dev, app_id, branch="main")

    other = dev.post(f"{V1}/app/{app_id}/builds", json={"branch": "other"})

    assert (other.status_code, other.json["code"], other.json["job_id"]) == (409, "busy", first)
    succeed(db, first)
    assert _build(dev, app_id, branch="other") != first


def test_a_build_without_a_tag_gets_one_that_the_job_shows(dev: FlaskClient, db: Database, app_id: str) -> None:
    first = _build(dev, app_id)
    open_again = _build(dev, app_id)
    succeed(db, first)
    second = _build(dev, app_id)

    tags = [dev.get(f"{V1}/jobs/{job_id}").json["image_tag"] for job_id in (first, second)]
    assert (open_again, tags) == (first, [f"1-{app_id[-8:]}", f"2-{app_id[-8:]}"])
    assert [each["image_tag"] for each in dev.get(f"{V1}/app/{app_id}/builds").json["builds"]] == tags[::-1]


def test_a_tag_of_the_user_s_own_is_another_wish_than_a_chosen_one(dev: FlaskClient, app_id: str) -> None:
    chosen = dev.get(f"{V1}/jobs/{_build(dev, app_id)}").json["image_tag"]

    answer = dev.post(f"{V1}/app/{app_id}/builds", json={"image_tag": chosen})

    assert (answer.status_code, answer.json["code"]) == (409, "busy")


def test_an_app_that_is_made_again_does_not_repeat_a_tag(dev: FlaskClient, db: Database, app_id: str) -> None:
    before = job(db, _build(dev, app_id, branch="a")).input["image_tag"]
    succeed(db, dev.get(f"{V1}/app/{app_id}/builds").json["builds"][0]["job_id"])
    project_id = dev.get(f"{V1}/app/{app_id}").json["project_id"]
    db.transaction(lambda session: session.execute(update(App).where(App.id == app_id).values(claimed_name=None)))
    again = add_app(dev, project_id, "compiler").json
    succeed(db, again["job_id"])

    after = job(db, _build(dev, again["app_id"], branch="a")).input["image_tag"]

    assert before.startswith("1-")
    assert after.startswith("1-")
    assert before != after


def test_a_build_shows_the_commit_and_the_image(dev: FlaskClient, db: Database, app_id: str) -> None:
    job_id = add_build(db, dev, app_id)

    (build,) = dev.get(f"{V1}/app/{app_id}/builds").json["builds"]

    assert (build["commit"], build["image"]) == ("c0ffee", f"registry.example.com/apps/compiler:{build['image_tag']}")
    result = dev.get(f"{V1}/jobs/{job_id}").json["result"]
    assert (result["commit"], result["image"]) == (build["commit"], build["image"])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("image_tag", ""),
        ("image_tag", "-x"),
        ("image_tag", "a b"),
        ("image_tag", "x" * 129),
        ("image_tag", "1.0\n"),
        ("image_tag", "a:b"),
        ("image_tag", 7),
        ("branch", "-rf"),
        ("branch", "/main"),
        ("branch", "a b"),
        ("branch", "main\n"),
        ("branch", "m\u0430in"),
        ("branch", "$(id)"),
        ("branch", "x" * 201),
        ("commit", "abc"),
    ],
)
def test_a_refused_field_is_named_and_nothing_is_built(
    dev: FlaskClient, db: Database, app_id: str, field: str, value: object
) -> None:
    before = row_counts(db)

    answer = dev.post(f"{V1}/app/{app_id}/builds", json={field: value})

    assert (answer.status_code, [error["field"] for error in answer.json["errors"]]) == (422, [field])
    assert row_counts(db) == before


@pytest.mark.parametrize("is_failed", [False, True])
def test_an_app_that_is_not_complete_is_not_built(dev: FlaskClient, db: Database, is_failed: bool) -> None:
    made = add_app(dev, add_project(dev), "compiler").json
    if is_failed:
        fail(db, made["job_id"], "fork_source")
        succeed(db, made["job_id"])

    for answer in (dev.post(f"{V1}/app/{made['app_id']}/builds", json={}), dev.get(f"{V1}/jenkins/{made['app_id']}")):
        assert (answer.status_code, answer.json["code"]) == (409, "not_provisioned" if is_failed else "busy")
    assert count_jobs(db, "build") == 0


# -- the published GET --------------------------------------------------------------------------------------------


def test_the_published_get_starts_a_build_and_is_never_cached(dev: FlaskClient, db: Database, app_id: str) -> None:
    answer = dev.get(f"{V1}/jenkins/{app_id}")

    assert (answer.status_code, answer.json["app_id"]) == (202, app_id)
    assert answer.headers["Cache-Control"] == "no-store"
    assert f"{V1}/app/{app_id}/builds" in answer.headers["Link"]
    assert count_jobs(db, "build") == 1


def test_a_get_that_comes_again_at_once_is_the_same_request(
    dev: FlaskClient, db: Database, time: Time, app_id: str
) -> None:
    first = dev.get(f"{V1}/jenkins/{app_id}").json["job_id"]
    succeed(db, first)

    time.advance(9)
    resent = dev.get(f"{V1}/jenkins/{app_id}").json["job_id"]
    time.advance(2)
    later = dev.get(f"{V1}/jenkins/{app_id}").json["job_id"]

    assert resent == first
    assert later != first


def test_what_was_posted_again_is_asked_for_again(dev: FlaskClient, db: Database, app_id: str) -> None:
    first = _build(dev, app_id)
    succeed(db, first)

    assert _build(dev, app_id) != first


def test_another_person_s_get_is_another_request(api: Api, dev: FlaskClient, db: Database, app_id: str) -> None:
    first = dev.get(f"{V1}/jenkins/{app_id}").json["job_id"]
    succeed(db, first)

    assert api.member("hopper").get(f"{V1}/jenkins/{app_id}").json["job_id"] != first


def test_a_get_is_not_answered_with_a_build_of_something_else(dev: FlaskClient, db: Database, app_id: str) -> None:
    posted = _build(dev, app_id, branch="experiment")
    succeed(db, posted)

    assert dev.get(f"{V1}/jenkins/{app_id}").json["job_id"] != posted


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Purpose": "prefetch"}, 403),
        ({"Sec-Purpose": "prefetch;prerender"}, 403),
        ({"Purpose": "prefetch"}, 403),
        ({"X-Moz": "Prefetch"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 202),
        ({"Sec-Fetch-Site": "none"}, 202),
        ({}, 202),
    ],
    ids=str,
)
def test_a_get_that_nobody_asked_for_builds_nothing(
    dev: FlaskClient, db: Database, app_id: str, headers: dict[str, str], status: int
) -> None:
    answer = dev.get(f"{V1}/jenkins/{app_id}", headers=headers)

    assert answer.status_code == status
    assert count_jobs(db, "build") == (status == 202)


@pytest.mark.parametrize(("origin", "status"), [("https://shop.example.com", 202), ("https://evil.example.com", 403)])
def test_a_page_of_an_allowed_origin_builds_with_its_token(
    db_url: str, db: Database, time: Time, origin: str, status: int
) -> None:
    with open_api(db_url, time, cors_origins=("https://shop.example.com",)) as api:
        dev = api.member("grace")
        path = f"{V1}/jenkins/{add_provisioned(db, dev)}"
        answer = dev.get(path, headers={"Origin": origin, "Sec-Fetch-Site": "cross-site"})

    assert answer.status_code == status


def test_a_cookie_alone_builds_nothing(api: Api, db: Database, app_id: str) -> None:
    browser = api.app.test_client()
    assert browser.post(f"{V1}/login", json={"id": "grace", "password": PASSWORD}).status_code == 201
    assert browser.get(f"{V1}/app/{app_id}").status_code == 200, "the cookie is good"

    answers = [browser.get(f"{V1}/jenkins/{app_id}", headers=headers) for headers in ({}, {"Authorization": "Bearer "})]

    assert [answer.status_code for answer in answers] == [401, 401]
    assert count_jobs(db, "build") == 0


def test_a_head_builds_nothing(dev: FlaskClient, db: Database, app_id: str) -> None:
    answer = dev.head(f"{V1}/jenkins/{app_id}")

    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET")
    assert count_jobs(db, "build") == 0


def test_a_foreign_app_looks_like_an_absent_one(api: Api, db: Database, app_id: str) -> None:
    ops = api.member("linus", team="ops")
    for send in (
        lambda app: ops.get(f"{V1}/jenkins/{app}"),
        lambda app: ops.post(f"{V1}/app/{app}/builds", json={}),
    ):
        foreign, absent = send(app_id), send(ABSENT)

        assert (foreign.status_code, absent.status_code) == (404, 404)
        assert without_request_id(foreign).replace(app_id.encode(), ABSENT.encode()) == without_request_id(absent)
    assert count_jobs(db, "build") == 0


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_twenty_requests_at_once_make_one_build(
    db_url: str, db: Database, time: Time, tmp_path: Path, method: str
) -> None:
    with open_api(db_url, time) as api:
        dev = api.member("grace")
        app_id = add_provisioned(db, dev)
    path = f"{V1}/jenkins/{app_id}" if method == "GET" else f"{V1}/app/{app_id}/builds"
    gate = Barrier(RACERS)

    with serve(db_url, tmp_path / "gunicorn.log") as address:
        token = _log_in(address)

        def send(_: int) -> tuple[int, bytes]:
            connection = HTTPConnection(*address, timeout=30)
            gate.wait()
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Connection": "close"}
            connection.request(method, path, "{}" if method == "POST" else None, headers)
            answer = connection.getresponse()
            received = answer.status, answer.read()
            connection.close()
            return received

        with ThreadPoolExecutor(RACERS) as pool:
            answers = list(pool.map(send, range(RACERS)))

    assert Counter(status for status, _ in answers) == {202: RACERS}
    assert len({json.loads(body)["job_id"] for _, body in answers}) == 1
    assert sum(json.loads(body)["is_new"] for _, body in answers) == 1
    assert count_jobs(db, "build") == 1


def _log_in(address: tuple[str, int]) -> str:
    connection = HTTPConnection(*address, timeout=30)
    body = json.dumps({"id": "grace", "password": PASSWORD})
    connection.request("POST", f"{V1}/login", body, {"Content-Type": "application/json", "Connection": "close"})
    token: str = json.loads(connection.getresponse().read())["token"]
    connection.close()
    return token

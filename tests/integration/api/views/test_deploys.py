"""Deployments: one at a time, listed newest first, and rolled back to the last successful one."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient
from support.api import V1, add_app, add_project
from support.fake_worker import ABSENT, add_build, add_provisioned, count_jobs, fail, job, succeed

from common.database.engine import Database
from common.jobs import builds

pytestmark = pytest.mark.one_database


@pytest.fixture
def app_id(dev: FlaskClient, db: Database) -> str:
    return add_provisioned(db, dev)


def _begin(dev: FlaskClient, app_id: str, **body: Any) -> str:
    answer = dev.post(f"{V1}/app/{app_id}/deploys", json={"force": True, **body})
    assert answer.status_code == 202, answer.text
    job_id: str = answer.json["job_id"]
    return job_id


def _deploy(dev: FlaskClient, db: Database, app_id: str, tag: str, *, revision: str = "c0ffee", ok: bool = True) -> str:
    job_id = _begin(dev, app_id, image_tag=tag)
    if ok:
        output = {"application": "compiler", "revision": revision, "images": [f"registry.example.com/compiler:{tag}"]}
        succeed(db, job_id, sync_application={"application": "compiler"}, await_healthy=output)
    else:
        succeed(db, job_id, but=("await_healthy",), sync_application={"application": "compiler"})
        fail(db, job_id, "await_healthy")
    return job_id


def _roll_back(dev: FlaskClient, app_id: str) -> Any:
    return dev.post(f"{V1}/app/{app_id}/rollback", json={})


def test_a_deployment_is_accepted(dev: FlaskClient, db: Database, app_id: str) -> None:
    job_id = _begin(dev, app_id, image_tag="1.2.3", revision="v1")

    wanted = {"app": "compiler", "type": "Flask", "team": "dev", "image_tag": "1.2.3", "revision": "v1"}
    assert job(db, job_id).input == wanted


def test_the_same_deployment_is_the_open_job_and_another_one_is_busy(
    dev: FlaskClient, db: Database, app_id: str
) -> None:
    first = _begin(dev, app_id, image_tag="1")

    other = dev.post(f"{V1}/app/{app_id}/deploys", json={"image_tag": "2", "force": True})

    assert (other.status_code, other.json["code"], other.json["job_id"]) == (409, "busy", first)
    assert _begin(dev, app_id, image_tag="1") == first
    assert count_jobs(db, "deploy") == 1


def test_a_build_is_not_in_the_way_of_a_deployment(dev: FlaskClient, app_id: str) -> None:
    assert dev.post(f"{V1}/app/{app_id}/builds", json={}).status_code == 202

    _begin(dev, app_id)


# -- the tag ----------------------------------------------------------------------------------------------------------


def _deployed_tag(dev: FlaskClient, app_id: str, **body: Any) -> str | None:
    answer = dev.post(f"{V1}/app/{app_id}/deploys", json=body)
    assert answer.status_code == 202, answer.text
    tag: str | None = dev.get(f"{V1}/jobs/{answer.json['job_id']}").json["image_tag"]
    return tag


def test_without_a_tag_the_newest_good_build_is_deployed(dev: FlaskClient, db: Database, app_id: str) -> None:
    add_build(db, dev, app_id, "first")
    add_build(db, dev, app_id, "second")
    failed = dev.post(f"{V1}/app/{app_id}/builds", json={"image_tag": "third"}).json["job_id"]
    fail(db, failed, "start_build")
    succeed(db, failed)

    tag = _deployed_tag(dev, app_id)

    assert tag == "second"
    (shown,) = dev.get(f"{V1}/app/{app_id}/deploys").json["deploys"]
    assert shown["image_tag"] == "second"
    assert _deployed_tag(dev, app_id) == "second", "the open deployment is the answer"
    assert count_jobs(db, "deploy") == 1


def test_what_jenkins_pushed_counts_and_not_what_was_asked_for(dev: FlaskClient, db: Database, app_id: str) -> None:
    add_build(db, dev, app_id, "wanted", image="registry.example.com/apps/compiler:pushed")

    refused = dev.post(f"{V1}/app/{app_id}/deploys", json={"image_tag": "wanted"})

    assert (refused.status_code, _deployed_tag(dev, app_id)) == (422, "pushed")


def test_a_newest_build_without_a_known_image_is_not_replaced_by_an_older_one(
    dev: FlaskClient, db: Database, app_id: str
) -> None:
    add_build(db, dev, app_id, "old")
    add_build(db, dev, app_id, "new", image=None)

    refused = dev.post(f"{V1}/app/{app_id}/deploys", json={})

    assert (refused.status_code, refused.json["code"]) == (409, "not_built")
    assert "newest successful build of this app has reported no image" in refused.json["detail"]
    assert _deployed_tag(dev, app_id, image_tag="old") == "old"


def test_a_build_of_an_older_version_counts_by_its_number(dev: FlaskClient, db: Database, app_id: str) -> None:
    job_id = dev.post(f"{V1}/app/{app_id}/builds", json={"image_tag": "1.2.3"}).json["job_id"]
    succeed(db, job_id, await_result={"number": 7, "url": "http://jenkins.invalid/", "result": "SUCCESS"})

    assert _deployed_tag(dev, app_id, image_tag="7") == "7"


@pytest.mark.parametrize("body", [{}, {"revision": "main"}])
def test_before_the_first_build_there_is_nothing_to_deploy(
    dev: FlaskClient, db: Database, app_id: str, body: dict[str, str]
) -> None:
    answer = dev.post(f"{V1}/app/{app_id}/deploys", json=body)

    assert (answer.status_code, answer.json["code"]) == (409, "not_built")
    assert "Build the app first" in answer.json["remedy"]
    assert count_jobs(db, "deploy") == 0


def test_a_tag_is_refused_before_the_first_build(dev: FlaskClient, db: Database, app_id: str) -> None:
    answer = dev.post(f"{V1}/app/{app_id}/deploys", json={"image_tag": "1"})

    (error,) = answer.json["errors"]
    assert (answer.status_code, error["field"], error["code"]) == (422, "image_tag", "not_built")
    assert "No build of this app has pushed an image yet. Send force" in error["message"]
    assert count_jobs(db, "deploy") == 0


@pytest.mark.parametrize(
    ("searched", "image", "why"),
    [
        (3, None, "No successful build of this app has reported an image, so this tag cannot be checked."),
        (2, None, "None of the last 2 successful builds of this app has reported an image, so this tag cannot be"),
        (2, "registry.example.com/apps/compiler:v1", "None of the last 2 successful builds of this app has pushed"),
    ],
)
def test_a_refusal_says_no_more_than_is_known_of_the_builds(
    dev: FlaskClient,
    db: Database,
    app_id: str,
    monkeypatch: pytest.MonkeyPatch,
    searched: int,
    image: str | None,
    why: str,
) -> None:
    monkeypatch.setattr(builds, "SEARCHED", searched)
    for number in range(2):
        add_build(db, dev, app_id, f"v{number}", image=image)

    answer = dev.post(f"{V1}/app/{app_id}/deploys", json={"image_tag": "v9"})

    (error,) = answer.json["errors"]
    assert error["message"].startswith(why)
    assert error["message"].endswith(". Send force to deploy this tag all the same.")


def test_a_tag_that_no_build_has_pushed_is_refused_with_recent_ones(
    dev: FlaskClient, db: Database, app_id: str
) -> None:
    for number in range(7):
        add_build(db, dev, app_id, f"v{number}")

    answer = dev.post(f"{V1}/app/{app_id}/deploys", json={"image_tag": "v9"})

    (error,) = answer.json["errors"]
    assert (answer.status_code, error["field"], error["code"]) == (422, "image_tag", "not_built")
    assert "Recent tags: v6, v5, v4, v3, v2." in error["message"]
    assert count_jobs(db, "deploy") == 0


def test_force_deploys_any_tag_and_without_builds_leaves_it(dev: FlaskClient, db: Database, app_id: str) -> None:
    assert _deployed_tag(dev, app_id, force=True) is None
    succeed(db, dev.get(f"{V1}/app/{app_id}/deploys").json["deploys"][0]["job_id"])

    assert _deployed_tag(dev, app_id, image_tag="of-somebody-else", force=True) == "of-somebody-else"


@pytest.mark.parametrize(
    "body", [{"image_tag": "a b"}, {"revision": "-x"}, {"revision": "a\n"}, {"revision": ""}, {"tag": "x"}]
)
def test_a_refused_deployment_is_not_written(dev: FlaskClient, db: Database, app_id: str, body: dict[str, str]) -> None:
    answer = dev.post(f"{V1}/app/{app_id}/deploys", json=body)

    assert (answer.status_code, [error["field"] for error in answer.json["errors"]]) == (422, list(body))
    assert count_jobs(db, "deploy") == 0


def test_an_app_that_is_not_complete_is_not_deployed(dev: FlaskClient, db: Database) -> None:
    made = add_app(dev, add_project(dev), "compiler").json
    fail(db, made["job_id"], "fork_source")
    succeed(db, made["job_id"])

    answer = dev.post(f"{V1}/app/{made['app_id']}/deploys", json={})

    assert (answer.status_code, answer.json["code"]) == (409, "not_provisioned")


def test_deployments_are_listed_with_what_they_brought(dev: FlaskClient, db: Database, app_id: str) -> None:
    good = _deploy(dev, db, app_id, "1", revision="aaa")
    bad = _deploy(dev, db, app_id, "2", ok=False)
    running = _begin(dev, app_id, image_tag="3", revision="main")

    pages, cursor = [], ""
    while cursor is not None:
        query = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = dev.get(f"{V1}/app/{app_id}/deploys", query_string=query).json
        pages += page["deploys"]
        cursor = page["next"]

    told = [(each["job_id"], each["state"], each["image_tag"], each["revision"], each["images"]) for each in pages]
    assert told == [
        (running, "queued", "3", "main", []),
        (bad, "failed", "2", None, []),
        (good, "succeeded", "1", "aaa", ["registry.example.com/compiler:1"]),
    ]


def test_a_rollback_goes_to_the_good_one_before_the_newest(dev: FlaskClient, db: Database, app_id: str) -> None:
    _deploy(dev, db, app_id, "1", revision="aaa")
    _deploy(dev, db, app_id, "2", revision="bbb")
    newest = _deploy(dev, db, app_id, "3", revision="ccc")

    answer = _roll_back(dev, app_id)

    inputs = job(db, answer.json["job_id"]).input
    assert answer.status_code == 202
    assert (inputs["image_tag"], inputs["revision"], inputs["rollback_of"]) == ("2", "bbb", newest)
    shown = dev.get(f"{V1}/app/{app_id}/deploys").json["deploys"][0]
    assert (shown["job_id"], shown["rollback_of"]) == (answer.json["job_id"], newest)


def test_a_rollback_of_a_bad_one_goes_to_the_last_good_one(dev: FlaskClient, db: Database, app_id: str) -> None:
    _deploy(dev, db, app_id, "1", revision="aaa")
    _deploy(dev, db, app_id, "2", ok=False)
    _deploy(dev, db, app_id, "3", ok=False)

    inputs = job(db, _roll_back(dev, app_id).json["job_id"]).input

    assert (inputs["image_tag"], inputs["revision"]) == ("1", "aaa")


def test_a_rollback_passes_over_a_repetition_of_the_newest(dev: FlaskClient, db: Database, app_id: str) -> None:
    _deploy(dev, db, app_id, "1", revision="aaa")
    _deploy(dev, db, app_id, "2", revision="bbb")
    _deploy(dev, db, app_id, "2", revision="bbb")

    assert job(db, _roll_back(dev, app_id).json["job_id"]).input["image_tag"] == "1"


def test_a_rollback_goes_to_the_chosen_one_of_those_that_are_listed(
    dev: FlaskClient, db: Database, app_id: str
) -> None:
    first = _deploy(dev, db, app_id, "1", revision="aaa")
    _deploy(dev, db, app_id, "2", ok=False)
    third = _deploy(dev, db, app_id, "3", revision="ccc")
    newest = _deploy(dev, db, app_id, "4", revision="ddd")

    targets = dev.get(f"{V1}/app/{app_id}/rollback").json["targets"]
    answer = dev.post(f"{V1}/app/{app_id}/rollback", json={"to": first})

    assert [each["job_id"] for each in targets] == [third, first]
    inputs = job(db, answer.json["job_id"]).input
    assert (inputs["image_tag"], inputs["revision"], inputs["rollback_of"]) == ("1", "aaa", newest)


def test_a_rollback_to_what_did_not_succeed_is_refused(dev: FlaskClient, db: Database, app_id: str) -> None:
    _deploy(dev, db, app_id, "1", revision="aaa")
    bad = _deploy(dev, db, app_id, "2", ok=False)

    answers = [dev.post(f"{V1}/app/{app_id}/rollback", json={"to": to}) for to in (bad, ABSENT, "x")]

    assert [(each.status_code, each.json["errors"][0]["field"]) for each in answers] == [(422, "to")] * 3
    assert count_jobs(db, "deploy") == 2


@pytest.mark.parametrize("tags", [(), ("1",), ("1", "1")])
def test_without_another_good_one_there_is_no_rollback(
    dev: FlaskClient, db: Database, app_id: str, tags: tuple[str, ...]
) -> None:
    for tag in tags:
        _deploy(dev, db, app_id, tag)

    answer = _roll_back(dev, app_id)

    assert (answer.status_code, answer.json["code"]) == (409, "nothing_to_roll_back_to")
    assert count_jobs(db, "deploy") == len(tags)


def test_a_rollback_waits_for_a_deployment_that_runs(dev: FlaskClient, db: Database, app_id: str) -> None:
    _deploy(dev, db, app_id, "1")
    running = _begin(dev, app_id, image_tag="2")

    answer = _roll_back(dev, app_id)

    assert (answer.status_code, answer.json["code"], answer.json["job_id"]) == (409, "busy", running)


def test_a_rollback_that_is_asked_for_twice_is_one(dev: FlaskClient, db: Database, app_id: str) -> None:
    _deploy(dev, db, app_id, "1")
    _deploy(dev, db, app_id, "2")

    first, second = _roll_back(dev, app_id), _roll_back(dev, app_id)

    assert first.status_code == 202
    assert (second.status_code, second.json["job_id"]) == (409, first.json["job_id"])
    assert count_jobs(db, "deploy") == 3

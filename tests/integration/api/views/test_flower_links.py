"""Links from a job to its tasks in Flower: only administrators, who have a login there, get them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from support.api import V1, Api, open_api
from support.fake_worker import admin, claim
from support.stack import wait_for
from support.world import Time

from common.database.engine import Database

pytestmark = pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)  # who asks is what differs here
FLOWER = "https://flower.example.com/ops"


@pytest.fixture
def api(db_url: str, time: Time) -> Iterator[Api]:
    with open_api(db_url, time, flower_ext_url=FLOWER) as opened:
        yield opened


def _links(job: dict[str, Any]) -> list[dict[str, str]]:
    return [link for link in job["links"] if link["upstream"] == "flower"]


def test_an_administrators_job_links_to_its_tasks_and_no_one_elses_does(api: Api, db: Database) -> None:
    job_id = api.sign_up("grace").json["job_id"]
    path = f"{V1}/jobs/{job_id}"

    (link,) = _links(admin(api, db).get(path).json)

    assert link["url"] == f"{FLOWER}/tasks?name=signup.%20args%3A{job_id}"
    assert _links(api.visitor.get(path).json) == []
    assert _links(api.bearer(api.token("grace")).get(path).json) == []


def test_an_answer_that_was_held_back_has_the_link_too(api: Api, db: Database) -> None:
    chief = admin(api, db)
    job_id = api.sign_up("grace").json["job_id"]

    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(chief.get, f"{V1}/jobs/{job_id}?wait=20")
        wait_for("somebody waits", lambda: api.service.hub.threads_held or None)
        claim(db, job_id, "create_kibana_user")

    assert held.result().json["state"] == "running"
    assert len(_links(held.result().json)) == 1

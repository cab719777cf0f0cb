"""A request whose commit is unknown is answered so, and under its key it is the same request when it is sent again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import func, make_url, select
from support.api import V1, newcomer, open_api
from support.chaos.relay import Relay
from support.world import Time

from common.database.engine import Database
from common.database.models import Job, User

pytestmark = pytest.mark.parametrize("db_url", ["mariadb"], indirect=True)


@pytest.fixture
def relay(db_url: str) -> Iterator[Relay]:
    relay = Relay(make_url(db_url).port or 3306)
    yield relay
    relay.close()


@pytest.mark.parametrize("is_done", [False, True], ids=["before it arrived", "after it was done"])
def test_a_sign_up_whose_commit_was_cut_is_one_sign_up_when_it_is_sent_again(
    db: Database, db_url: str, relay: Relay, time: Time, is_done: bool
) -> None:
    url = make_url(db_url).set(host="127.0.0.1", port=relay.port).render_as_string(hide_password=False)
    with open_api(url, time) as api:
        client = api.app.test_client()
        headers = {"Idempotency-Key": "the-same"}
        relay.lose_commits(1, is_done=is_done)
        answers = [client.post(f"{V1}/signup", json=newcomer("grace"), headers=headers) for _ in range(2)]

    assert relay.commits_to_lose == 0
    assert [answer.status_code for answer in answers] == [503, 202]
    assert answers[0].json["code"] == "unavailable"
    assert db.read(lambda session: session.scalar(select(func.count()).select_from(User))) == 1
    jobs = db.read(lambda session: session.scalars(select(Job.id)).all())
    assert jobs == [answers[1].json["job_id"]]

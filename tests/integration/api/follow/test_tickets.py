"""Tickets for event streams: of one job, for a minute, as long as the session that they stand for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient
from support.api import V1, Api, add_app, add_project
from support.fake_worker import succeed
from support.world import Time

from common.database.engine import Database

pytestmark = pytest.mark.one_database


@pytest.fixture
def job_id(dev: FlaskClient, db: Database) -> str:
    """A job that is over: whoever may follow it is told so."""
    made: str = add_app(dev, add_project(dev), "compiler").json["job_id"]
    succeed(db, made)
    return made


def _ticket(member: FlaskClient, job_id: str) -> str:
    answer = member.get(f"{V1}/jobs/{job_id}/ticket")
    assert answer.status_code == 200, answer.text
    ticket: str = answer.json["ticket"]
    assert answer.json["events_url"] == f"{V1}/jobs/{job_id}/events?ticket={ticket}"
    return ticket


def _follow(api: Api, job_id: str, ticket: str) -> int:
    """Follow as a page of another origin does: with neither header nor cookie."""
    query = {"after": 999_999_999, "ticket": ticket}
    return api.app.test_client().get(f"{V1}/jobs/{job_id}/events", query_string=query).status_code


def test_a_ticket_opens_the_stream_of_its_job_for_a_minute(api: Api, dev: FlaskClient, time: Time, job_id: str) -> None:
    ticket = _ticket(dev, job_id)

    statuses = [_follow(api, job_id, ticket)]
    time.advance(59)
    statuses.append(_follow(api, job_id, ticket))
    time.advance(2)
    statuses.append(_follow(api, job_id, ticket))

    assert statuses == [204, 204, 401]


@pytest.mark.parametrize(
    "change",
    [lambda ticket: ticket[:-2], lambda ticket: ticket[2:], lambda ticket: f"{ticket}AA", lambda _: "x", lambda _: "A"],
    ids=["shorter", "without its beginning", "longer", "no ticket", "no base64"],
)
def test_what_is_no_ticket_opens_nothing(api: Api, dev: FlaskClient, job_id: str, change: Callable[[str], str]) -> None:
    assert _follow(api, job_id, change(_ticket(dev, job_id))) == 401


def test_a_ticket_is_for_no_other_job_and_ends_with_its_session(
    api: Api, dev: FlaskClient, db: Database, job_id: str
) -> None:
    other = dev.get(f"{V1}/app/{add_app(dev, add_project(dev, 'more'), 'linker').json['app_id']}").json["job_id"]
    succeed(db, other)
    ticket = _ticket(dev, job_id)

    assert _follow(api, other, ticket) == 401
    dev.post(f"{V1}/logout")
    assert _follow(api, job_id, ticket) == 401


def test_nobody_gets_a_ticket_for_what_they_do_not_see(ops: FlaskClient, job_id: str) -> None:
    assert ops.get(f"{V1}/jobs/{job_id}/ticket").status_code == 404


def test_the_last_event_of_a_stream_says_that_the_job_is_over(dev: FlaskClient, job_id: str) -> None:
    stream = dev.get(f"{V1}/jobs/{job_id}/events").text

    assert stream.endswith('event: end\ndata: {"state":"succeeded"}\n\n')

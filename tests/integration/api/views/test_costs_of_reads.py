"""What polling a job costs the database: exact counts, which no noise changes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, event
from support.api import V1, Api, add_app, add_project
from support.fake_worker import fail
from support.workers import counted_statements

from common.database.engine import Database
from common.jobs import attempts
from common.jobs.claims import Claim
from common.workflows import PROVISION


@contextmanager
def _begun(engine: Engine) -> Iterator[list[object]]:
    """Yield a list that each transaction begun is added to."""
    begun: list[object] = []
    note = begun.append  # one object: a bound method is a new one each time
    event.listen(engine, "begin", note)
    try:
        yield begun
    finally:
        event.remove(engine, "begin", note)


def _asked(sent: list[str]) -> int:
    """Return how many statements read: SQLite's BEGIN is one, too."""
    return sum(statement.startswith("SELECT") for statement in sent)


@pytest.fixture
def job(dev: FlaskClient) -> str:
    """The address of a job of eleven steps in two lanes."""
    made = add_app(dev, add_project(dev), "compiler").json["job_id"]
    return f"{V1}/jobs/{made}"


@pytest.mark.parametrize(
    ("poll", "status", "statements"),
    [
        # the login with its user; the job; its steps, their attempts, its objects, what people did; who asked for it
        ("first", 200, 7),
        ("unchanged", 304, 3),  # the login; the job; its steps, for Retry-After
        ("held", 304, 2),  # the login; the job
        ("events", 200, 2),
    ],
)
def test_a_poll_is_one_transaction_of_few_statements(
    api: Api, dev: FlaskClient, job: str, poll: str, status: int, statements: int
) -> None:
    tag = dev.get(job).headers["ETag"]
    path = {"held": f"{job}?wait=1", "events": f"{job}/events"}.get(poll, job)
    headers = {"If-None-Match": tag} if poll in ("unchanged", "held") else {}

    with _begun(api.service.db.read_engine) as transactions, counted_statements(api.service.db) as sent:
        answer = dev.open(path, method="HEAD" if poll in ("held", "events") else "GET", headers=headers)

    assert answer.status_code == status
    assert (len(transactions), _asked(sent)) == (1, statements)


def test_attempts_cost_no_statement_each(api: Api, dev: FlaskClient, job: str, db: Database) -> None:
    job_id = job.rpartition("/")[2]
    for lane in PROVISION.lanes:
        claim = attempts.claim(db, job_id, lane.steps[0].name, worker="w", limits={})
        assert isinstance(claim, Claim)
    dev.get(job)  # measures how long steps take, once a minute

    with _begun(api.service.db.read_engine) as transactions, counted_statements(api.service.db) as sent:
        shown = dev.get(job).json

    assert [len(lane["steps"][0]["attempts"]) for lane in shown["lanes"]] == [1, 1]
    assert (len(transactions), _asked(sent)) == (1, 7)


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_list_is_five_statements_whatever_is_in_it(api: Api, dev: FlaskClient, db: Database, jobs: int) -> None:
    project_id = add_project(dev)
    for number in range(jobs):
        fail(db, add_app(dev, project_id, f"app-{number}").json["job_id"], "fork_source")

    with counted_statements(api.service.db) as sent:
        dev.get(f"{V1}/jobs?kind=provision")

    # the login with its user; the ids of the page; the jobs; the steps that wait or failed; who asked for the jobs
    assert _asked(sent) == 5

"""The database work of a request has a time budget, and a server that hangs lets those that come next fail at once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from time import monotonic

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from common.database import connections, engine, time_budget
from common.database.engine import Database

pytestmark = pytest.mark.parametrize("db_url", ["mariadb"], indirect=True)  # SQLite waits for its lock instead
BUDGET_S = 2.5  # longer than for a locked row


@pytest.fixture(autouse=True)
def _long_rest(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(engine, "REST_AFTER_SILENCE_S", 60.0)
    yield
    time_budget.end()


def _ask(db: Database, statement: str) -> None:
    time_budget.begin(BUDGET_S)
    db.read(lambda session: session.execute(text(statement)).all())


def test_after_a_server_was_silent_requests_fail_at_once(db: Database) -> None:
    with pytest.raises(OperationalError):
        _ask(db, "SELECT SLEEP(5)")

    with pytest.raises(PoolTimeoutError):
        _ask(db, "SELECT 1")


def test_one_slow_statement_makes_nobody_fail_while_others_are_answered(db: Database) -> None:
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(_ask, db, "SELECT SLEEP(5)")
        while not slow.done():
            _ask(db, "SELECT 1")
    assert isinstance(slow.exception(), OperationalError)

    _ask(db, "SELECT 1")


@pytest.fixture
def busy(db_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A database all of whose connections are taken, with a clock of the server's own."""
    monkeypatch.setattr(connections, "FREE_WITHIN_S", 60.0)
    database = Database(db_url, pool_size=1)
    with ExitStack() as taken:
        for each in database.engines:
            for _ in range(2):  # one is kept open, and one more may be
                taken.enter_context(each.connect())
        yield database
    database.dispose()


def test_waiting_for_a_connection_is_part_of_the_budget(busy: Database) -> None:
    began_s = monotonic()

    with pytest.raises(PoolTimeoutError):
        _ask(busy, "SELECT 1")

    assert monotonic() - began_s < 30


def test_waiting_for_the_servers_time_is_part_of_the_budget(busy: Database) -> None:
    time_budget.begin(0.2)

    with pytest.raises(PoolTimeoutError):
        busy.now()

    assert time_budget.is_spent()

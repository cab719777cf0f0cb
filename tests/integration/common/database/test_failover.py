"""A failover: the server that we are connected to is demoted, and the address leads to another one already."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session
from support.chaos import database
from support.chaos.database import NAME, USER, DatabaseServer
from support.chaos.relay import HOST, Relay

from common.database import migrate
from common.database.engine import Database
from common.database.models import RateCount

OPEN_CONNECTIONS = 3
_NUMBERS = itertools.count(1)


class Pair:
    """Two servers behind one address, which leads to the first one until `fail_over`."""

    def __init__(self, root: Path) -> None:
        database.prepare(root / "1")
        shutil.copytree(root / "1", root / "2")
        self.servers = [DatabaseServer(root / str(number), number) for number in (1, 2)]
        for server in self.servers:
            server.start()
            server.allow()
            migrated = Database(self._url(server.port))
            migrate.upgrade(migrated)
            migrated.dispose()
        self._relay = Relay(self.servers[0].port)

    @property
    def url(self) -> str:
        return self._url(self._relay.port)

    def fail_over(self) -> None:
        """Demote the first server; connections to it stay open, as they do."""
        self.servers[0].run("SET GLOBAL read_only = 1")
        self._relay.point_at(self.servers[1].port)

    def recover(self) -> None:
        self._relay.point_at(self.servers[0].port)
        self.servers[0].run("SET GLOBAL read_only = 0")

    def hits(self, bucket: str) -> list[int | None]:
        """Return what each server has."""
        found = [
            server.run("SELECT hits FROM tallies WHERE bucket = %s", bucket, database=NAME) for server in self.servers
        ]
        return [rows[0]["hits"] if rows else None for rows in found]

    def stop(self) -> None:
        self._relay.close()
        for server in self.servers:
            server.end()

    @staticmethod
    def _url(port: int) -> str:
        return f"mysql+pymysql://{USER}@{HOST}:{port}/{NAME}?ssl_disabled=true"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    pair = Pair(tmp_path_factory.mktemp("pair"))
    yield pair
    pair.stop()


@pytest.fixture
def pair(servers: Pair) -> Iterator[Pair]:
    yield servers
    servers.recover()


@pytest.fixture
def bucket(pair: Pair) -> str:
    """Return the name of a row that both servers have."""
    name = f"bucket-{next(_NUMBERS)}"
    for server in pair.servers:
        server.run(
            "INSERT INTO tallies (bucket, period, hits, expires_at) VALUES (%s, 1, 0, '2036-01-01')",
            name,
            database=NAME,
        )
    return name


@pytest.fixture
def db(pair: Pair) -> Iterator[Database]:
    """A database with several pooled connections to the first server, of every kind."""
    opened = Database(pair.url, pool_size=OPEN_CONNECTIONS)
    for engine in opened.engines:
        connections = [engine.connect() for _ in range(2)]
        for connection in connections:
            connection.execute(text("SELECT 1"))
            connection.close()
    opened.now()
    yield opened
    opened.dispose()


def _hit(bucket: str) -> Callable[[Session], None]:
    hit = update(RateCount).where(RateCount.bucket == bucket).values(hits=RateCount.hits + 1)
    return lambda session: session.execute(hit) and None


def test_a_write_that_is_refused_is_repeated_on_the_new_server(pair: Pair, db: Database, bucket: str) -> None:
    pair.fail_over()

    for _ in range(OPEN_CONNECTIONS):
        db.transaction(_hit(bucket))

    assert pair.hits(bucket) == [0, OPEN_CONNECTIONS]


def test_a_commit_that_is_refused_wrote_nothing_and_is_repeated(pair: Pair, db: Database, bucket: str) -> None:
    runs = []

    def work(session: Session) -> None:
        _hit(bucket)(session)
        runs.append(1)
        if len(runs) == 1:
            pair.fail_over()

    db.transaction(work)

    assert len(runs) == 2
    assert pair.hits(bucket) == [0, 1]


def test_a_statement_that_commits_by_itself_is_repeated_on_the_new_server(
    pair: Pair, db: Database, bucket: str
) -> None:
    pair.fail_over()

    assert db.run(update(RateCount).where(RateCount.bucket == bucket).values(hits=7)) == 1

    assert pair.hits(bucket) == [0, 7]


def test_after_one_refusal_nothing_is_asked_of_the_old_server_any_more(pair: Pair, db: Database, bucket: str) -> None:
    pair.fail_over()
    db.transaction(_hit(bucket))

    for engine in db.engines:
        with engine.connect() as connection:
            assert (
                connection.scalar(text("SELECT @@server_id"))
                == pair.servers[1].run("SELECT @@server_id AS id")[0]["id"]
            )
    assert db.read(lambda session: session.scalar(select(RateCount.hits).where(RateCount.bucket == bucket))) == 1
    assert abs((db.now() - datetime.now(UTC)).total_seconds()) < 5


def test_whoever_only_reads_follows_to_the_new_server(pair: Pair, db: Database, bucket: str) -> None:
    reader = Database(pair.url, pool_size=1)
    before = _server_of(reader)
    pair.fail_over()

    db.transaction(_hit(bucket))

    after = _server_of(reader)
    reader.dispose()
    assert (before, after) == (1, 2)


def _server_of(db: Database) -> int | None:
    return db.read(lambda session: session.scalar(text("SELECT @@server_id")))

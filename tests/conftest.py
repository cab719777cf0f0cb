"""Databases for every test that wants one: the same tests on SQLite and on MariaDB.

A module marked `one_database` is about something else: what it sends to the database, other tests send to both. It runs
on SQLite alone, and on both where SLIPWAY_DATABASES is `all` (`make databases`). Of a module marked `half`, which is
generated from a table, every other test runs, and all with SLIPWAY_RUNS (`make proofs`).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import pymysql
import pytest
from pymysql.cursors import Cursor
from sqlalchemy import make_url
from support.runs import runs
from support.services import mariadb_database
from support.world import Time

from common.database import migrate
from common.database.engine import Database
from common.database.models import Base


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the MariaDB half of tests to which the database makes no difference, and what is drawn from."""
    on_all = os.environ.get("SLIPWAY_DATABASES") == "all"
    left_out = [
        item
        for item in items
        if (item.get_closest_marker("one_database") and not on_all and _database_of(item) == "mariadb")
        or (item.get_closest_marker("half") and runs(1) == 1 and crc32(item.nodeid.encode()) % 2)
    ]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


def _database_of(item: pytest.Item) -> object:
    spec = getattr(item, "callspec", None)  # of a test that is parametrised
    return spec.params.get("db_url") if spec else None


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database file, to be copied."""
    file = tmp_path_factory.mktemp("sqlite") / "migrated.db"
    db = Database(f"sqlite:///{file}")
    migrate.upgrade(db)
    db.dispose()
    return file


@pytest.fixture(scope="session")
def migrated_mariadb() -> Iterator[str]:
    """A migrated database of its own on the server, to be emptied between tests."""
    with mariadb_database() as url:
        db = Database(url)
        migrate.upgrade(db)
        db.dispose()
        yield url


@pytest.fixture(params=["sqlite", "mariadb"])
def db_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a migrated, empty database."""
    if request.param == "sqlite":
        file = tmp_path / "slipway.db"
        shutil.copy(request.getfixturevalue("migrated_sqlite"), file)
        return f"sqlite:///{file}"
    url: str = request.getfixturevalue("migrated_mariadb")
    _empty(url)
    return url


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def db(db_url: str, time: Time) -> Iterator[Database]:
    database = Database(db_url, now=time)
    yield database
    database.dispose()


def _empty(url: str) -> None:
    """Delete from the tables that have rows, by the driver alone: a test fills few, and an engine asks first."""
    tables = [table.name for table in reversed(Base.metadata.sorted_tables)]  # children first
    parts = (f"SELECT '{name}' FROM DUAL WHERE EXISTS (SELECT 1 FROM `{name}`)" for name in tables)  # noqa: S608 - our names
    with _connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts))
        filled = {name for (name,) in cursor.fetchall()}
        for name in tables:
            if name in filled:
                cursor.execute(f"DELETE FROM `{name}`")  # noqa: S608 - as above
        connection.commit()


def _connect(url: str) -> pymysql.Connection[Cursor]:
    address = make_url(url)
    return pymysql.connect(
        host=address.host or "127.0.0.1",
        port=address.port or 3306,
        user=address.username,
        password=address.password or "",
        database=address.database,
        ssl_disabled="ssl_disabled" in address.query,
    )

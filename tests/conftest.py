"""Databases for every test that wants one: the same tests on SQLite and on MariaDB."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.services import mariadb_database
from support.world import Time

from common.database import migrate
from common.database.engine import Database
from common.database.models import Base


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
    db = Database(url)
    with db.engine.begin() as connection:
        for table in reversed(Base.metadata.sorted_tables):
            connection.execute(table.delete())
    db.dispose()

"""Schema checks and migrations.

On SQLite an upgrade is one transaction. MySQL commits every statement of it by itself: an upgrade that was interrupted
starts again at the revision that it did not complete, and skips what is done.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from pymysql.err import MySQLError
from sqlalchemy import Connection, Engine, event, func, select, text
from sqlalchemy.exc import DBAPIError

from common.database.connections import LONG_S
from common.database.engine import Database
from common.database.models import Base

HEAD = "head"
RESTORING = "restoring"  # instead of a revision, while a backup is being read in: no process starts on half of it
TABLE_IS_THERE, COLUMN_IS_THERE, INDEX_IS_THERE, IS_GONE = 1050, 1060, 1061, 1091
DONE_BEFORE = frozenset({TABLE_IS_THERE, COLUMN_IS_THERE, INDEX_IS_THERE, IS_GONE})


class SchemaError(Exception):
    """The schema does not match this version: `what` says how, `remedy` what to do about it."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}: {remedy}.")
        self.what = what
        self.remedy = remedy


def upgrade(db: Database, revision: str = HEAD) -> None:
    """Bring the schema to this version, or to an older revision of it; does nothing when it is there or beyond.

    Waits while another process does the same. Raises SchemaError when it cannot, or when something is missing then.
    """
    with db.engine.connect() as connection:
        try:
            changed = _upgrade(db, connection, revision)
        finally:
            connection.invalidate()  # its locks are released with it
    if changed and revision == HEAD and (missing := [text for text, is_missing in _compare(db) if is_missing]):
        raise SchemaError("The upgrade is incomplete", "\n".join(missing))


def _upgrade(db: Database, connection: Connection, revision: str) -> bool:
    with connection.begin():  # on SQLite this takes the one write lock
        if not db.is_sqlite:
            await_turn(connection)
        current = _current(connection)
        require_known(current)
        try:
            with _skipping_done(db.engine):
                command.upgrade(_config(connection), revision)
        except DBAPIError as error:
            raise SchemaError(
                f"The upgrade from schema {current or 'none'} stopped at {error.orig}",
                "correct the cause and run it again; it continues where it stopped",
            ) from error
        return _current(connection) != current


def check(db: Database) -> None:
    """Raises SchemaError when the database is not at this version's schema."""
    with db.read_engine.connect() as connection:
        current = _current(connection)
    require_known(current)
    if current != (wanted := revisions()[-1]):
        raise SchemaError(
            f"The database is at schema {current or 'none'}, this version needs {wanted}",
            "run `flask --app api db upgrade`",
        )


def revision(db: Database) -> str | None:
    """Return the revision that the database is at, None for an empty one."""
    with db.read_engine.connect() as connection:
        return _current(connection)


@cache
def revisions() -> tuple[str, ...]:
    """Return what this version knows of, oldest first."""
    newest_first = ScriptDirectory.from_config(_config(None)).walk_revisions()
    return tuple(script.revision for script in newest_first)[::-1]


def differences(db: Database) -> list[str]:
    """Return what the models have and the migrated database has not, or the reverse, in Alembic's words."""
    return [text for text, _ in _compare(db)]


def known_revision(connection: Connection) -> str:
    """Return the revision of the schema. Raises SchemaError when there is none, or this version does not know it."""
    current = _current(connection)
    require_known(current)
    if current is None:
        raise SchemaError("The database has no tables of Slipway", "check DB_URL, or run `flask --app api db upgrade`")
    return current


def set_revision(db: Database, revision: str) -> None:
    """Record a revision, or `RESTORING`, without a migration."""
    with db.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def require_known(current: str | None) -> None:
    """Raises SchemaError when this version has no such revision."""
    if current == RESTORING:
        raise SchemaError(
            "A backup was not restored to its end", "drop the database, create it again, and restore the backup again"
        )
    if current not in (None, *revisions()):
        raise SchemaError(
            f"The database is at schema {current}, which this version does not know",
            "start the version that brought it there, or a newer one",
        )


def _compare(db: Database) -> list[tuple[str, bool]]:
    """Return each difference in Alembic's words, and whether the database lacks something.

    What it has in addition, such as an index of an operator's own, is no reason to stop.
    """
    with db.read_engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        found = compare_metadata(context, Base.metadata)
    return [(str(each), not str(each[0]).startswith("remove_")) for each in found]


def await_turn(connection: Connection) -> None:
    """Take the lock of upgrades, which ends with the connection: any other would end with their first statement."""
    database = str(connection.scalar(select(func.database())))
    if connection.scalar(select(func.get_lock(lock_name(database), LONG_S))) != 1:
        raise SchemaError("Another upgrade of this database has been running for a day", "check what it waits for")


def lock_name(database: str) -> str:
    """Return the name of the lock of upgrades, the same as always: an older version may be upgrading just now.

    Names of databases may be longer than those of locks, so it is a hash. The server would not make it: MySQL 9.6 has
    no MD5() any more.
    """
    return "slipway." + hashlib.md5(database.encode(), usedforsecurity=False).hexdigest()


@contextmanager
def _skipping_done(engine: Engine) -> Iterator[None]:
    """Skip what an interrupted upgrade has done already; the check at the end verifies the result."""

    def execute(cursor: Any, statement: str, parameters: Any, _context: Any) -> bool:
        try:
            cursor.execute(statement, parameters)
        except MySQLError as error:
            if error.args[0] not in DONE_BEFORE:
                raise
        return True  # it has been executed

    event.listen(engine, "do_execute", execute)
    try:
        yield
    finally:
        event.remove(engine, "do_execute", execute)


def _config(connection: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", "common.database:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config

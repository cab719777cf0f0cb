"""Backups of the database: one file with a consistent picture of all rows, whichever server they come from.

    {"slipway_backup": 1, "schema": "0010", "taken_at": …}   the head: which migrations make the tables
    {"table": "jobs", "columns": ["id", …]}                  a table, in an order in which foreign keys hold
    ["01a2…", …]                                             its rows
    {"end": {"jobs": 12, …}}                                 the end, with how many rows there are

Lines of JSON, compressed. A file without its end is incomplete and refused: whatever cut it off, a full disk or a
closed pipe. Writing needs the right to read the tables (SELECT) and no other, neither RELOAD nor LOCK TABLES, and no
program of the server's. It does not depend on GTIDs, and what MySQL wrote, MariaDB and SQLite read.

Not in it: sessions, one-time codes and counters. Some of them have been ended since, and would work again.
"""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, BinaryIO

import sqlalchemy as sa
from sqlalchemy import Connection

from common.database import migrate
from common.database.engine import Database
from common.database.models import Base, LoginSession, PasswordReset, RateCount

FORMAT = 1
LEFT_OUT = frozenset({table.__tablename__ for table in (LoginSession, PasswordReset, RateCount)})
ROWS_AT_ONCE, BYTES_AT_ONCE = 1_000, 4_000_000
COMPRESSION = 3  # a third larger than the best, in a fifth of its time

Counts = Mapping[str, int]
Row = list[Any]


class BackupError(Exception):
    """A file is no complete backup, or cannot be restored here; the message says why, and what to do."""


@dataclass(frozen=True, kw_only=True)
class Head:
    """What a backup says of itself: the revision of its schema, and when it was taken (UTC, in ISO format)."""

    schema: str
    taken_at: str


# -- writing ------------------------------------------------------------------------------------------------------


def write(db: Database, out: BinaryIO) -> Counts:
    """Write a backup, while everything else goes on; return how many rows each table has.

    An upgrade of the schema waits until it is written. Raises SchemaError for a schema that this version does not know.
    """
    counts: Counter[str] = Counter()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=COMPRESSION) as packed, _snapshot(db) as connection:
        head = {"slipway_backup": FORMAT, "schema": migrate.known_revision(connection)}
        _put(packed, {**head, "taken_at": datetime.now(UTC).isoformat(timespec="seconds")})
        for table, columns in list(_tables(connection)):
            _put(packed, {"table": table, "columns": columns})
            for row in _rows(connection, table, columns):
                _put(packed, [_plain(value) for value in row])
                counts[table] += 1
        _put(packed, {"end": counts})
    return counts


@contextmanager
def _snapshot(db: Database) -> Iterator[Connection]:
    """Open a connection whose statements all see the database as it is now."""
    if db.is_sqlite:
        with db.read_engine.connect() as connection:
            yield connection
        return
    with db.engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        try:
            migrate.await_turn(connection)
            connection.rollback()  # what was read while waiting is no part of the picture
            connection.exec_driver_sql("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
            yield connection
        finally:
            connection.invalidate()  # its lock is released with it


def _tables(connection: Connection) -> Iterator[tuple[str, list[str]]]:
    """Yield the tables that are there, with their columns: those of an older schema are fewer."""
    inspector = sa.inspect(connection)
    there = set(inspector.get_table_names())
    for table in Base.metadata.sorted_tables:
        if table.name in there and table.name not in LEFT_OUT:
            yield table.name, [column["name"] for column in inspector.get_columns(table.name)]


def _rows(connection: Connection, table: str, columns: Sequence[str]) -> Iterator[Sequence[Any]]:
    """Yield all rows, some at a time, as the driver has them."""
    wanted: list[sa.ColumnElement[Any]] = [sa.column(name) for name in columns]
    statement = sa.select(*wanted).select_from(sa.table(table))
    yield from connection.execute(statement.execution_options(yield_per=ROWS_AT_ONCE))


def _put(out: gzip.GzipFile, value: object) -> None:
    out.write(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")


def _plain(value: object) -> object:
    """Return a value that JSON has. Times are written as both servers and SQLite read them."""
    match value:
        case bytes():
            return {"base64": base64.b64encode(value).decode()}
        case datetime():
            return value.isoformat(sep=" ", timespec="microseconds")
    return value


# -- reading ------------------------------------------------------------------------------------------------------


def check(source: BinaryIO) -> Counts:
    """Read a backup to its end and return how many rows each table has. Raises BackupError when it is incomplete."""
    counts: Counter[str] = Counter()
    lines = _Lines(source)
    for table, _, rows in lines.tables():
        counts[table] = sum(1 for _ in rows)
    lines.require_end(counts)
    return counts


def restore(db: Database, source: BinaryIO) -> Counts:
    """Make the tables in an empty database and fill them; return how many rows each has.

    Until the last row is there, no process starts on this database. Raises BackupError when the database is not empty,
    or the file is not complete; SchemaError when this version does not know its schema.
    """
    lines = _Lines(source)
    require_empty(db)
    migrate.require_known(lines.head.schema)
    migrate.upgrade(db, lines.head.schema)
    migrate.set_revision(db, migrate.RESTORING)
    _empty(db)
    counts: Counter[str] = Counter()
    for table, columns, rows in lines.tables():
        counts[table] = _fill(db, table, columns, rows)
    lines.require_end(counts)
    if (found := _counted(db, counts)) != counts:
        raise BackupError(f"The database has {dict(found)} instead of {dict(counts)} rows: empty it and try again.")
    migrate.set_revision(db, lines.head.schema)
    return counts


def drop_tables(db: Database) -> None:
    """Drop all tables of a scratch database."""
    with db.engine.begin() as connection:
        tables = sa.MetaData()
        tables.reflect(connection)
        tables.drop_all(connection)


class _Lines:
    """The lines of a backup, read one after the other."""

    def __init__(self, source: BinaryIO) -> None:
        self._lines = _unpacked(source)
        first = next(self._lines, None)
        if not isinstance(first, dict) or first.get("slipway_backup") != FORMAT:
            raise BackupError("This is no backup of Slipway, or one of a newer version.")
        self.head = Head(schema=str(first["schema"]), taken_at=str(first["taken_at"]))
        self._next: object = next(self._lines, None)

    def tables(self) -> Iterator[tuple[str, list[str], Iterator[Row]]]:
        """Yield each table with its columns and its rows, which are to be read before the next table."""
        while isinstance(self._next, dict) and "table" in self._next:
            yield self._next["table"], self._next["columns"], self._rows()

    def _rows(self) -> Iterator[Row]:
        for line in self._lines:
            if not isinstance(line, list):
                self._next = line
                return
            yield line
        self._next = None

    def require_end(self, counts: Counts) -> None:
        """Check that all was there that was written. Raises BackupError."""
        said = self._next.get("end") if isinstance(self._next, dict) else None
        if said is None:
            raise BackupError("The backup is incomplete: its end is missing. Take another one.")
        if {table: count for table, count in counts.items() if count} != said:
            raise BackupError("The backup is damaged: it does not have the rows that it says. Take another one.")


def _unpacked(source: BinaryIO) -> Iterator[object]:
    try:
        with gzip.GzipFile(fileobj=source, mode="rb") as packed:
            for line in packed:
                yield json.loads(line)
    except (EOFError, gzip.BadGzipFile, zlib.error, ValueError) as error:
        raise BackupError(f"The backup is incomplete or damaged: {error}. Take another one.") from None


def require_empty(db: Database) -> None:
    """Raises BackupError when the database has tables."""
    with db.read_engine.connect() as connection:
        there = sa.inspect(connection).get_table_names()
    if there:
        raise BackupError(
            f"The database is not empty: it has {len(there)} tables, {there[0]} among them. "
            "Drop it and create it again, or name an empty one."
        )


def _empty(db: Database) -> None:
    """Remove the rows that migrations have made: those of the backup take their place."""
    with db.engine.begin() as connection:
        there = set(sa.inspect(connection).get_table_names())
        for table in reversed(Base.metadata.sorted_tables):
            if table.name in there:
                connection.execute(sa.delete(sa.table(table.name)))


def _fill(db: Database, table: str, columns: Sequence[str], rows: Iterator[Row]) -> int:
    statement = sa.insert(sa.table(table, *map(sa.column, columns)))
    count = 0
    for some in _batches(rows):
        values = [dict(zip(columns, map(_stored, row), strict=True)) for row in some]
        with db.engine.begin() as connection:
            connection.execute(statement, values)
        count += len(values)
    return count


def _batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    """Yield the rows, so many at once that neither memory nor a packet of the server is too small."""
    some: list[Row] = []
    size = 0
    for row in rows:
        some.append(row)
        size += sum(len(value) for value in row if isinstance(value, str))
        if len(some) >= ROWS_AT_ONCE or size >= BYTES_AT_ONCE:
            yield some
            some, size = [], 0
    if some:
        yield some


def _stored(value: object) -> object:
    return base64.b64decode(value["base64"]) if isinstance(value, dict) else value


def _counted(db: Database, tables: Counts) -> Counter[str]:
    with db.read_engine.connect() as connection:
        counted = {name: connection.scalar(sa.select(sa.func.count()).select_from(sa.table(name))) for name in tables}
    return Counter({name: count or 0 for name, count in counted.items()})

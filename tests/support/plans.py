"""How does a database answer a query: by which way, and how much does it read?"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, event

from common.db import Database

LONG = ("jobs", "steps", "apps", "projects")  # a table of a few people may well be read as a whole


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A statement as the driver gets it."""

    sql: str
    parameters: Any


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A statement's way. `sorted_rows`: rows that it expects to sort, or to look at in a whole table; 0 for neither."""

    text: str
    sorted_rows: int


@dataclass
class Listener:
    """Keeps what is asked of a database."""

    asked: list[Asked] = field(default_factory=list)

    def hear(self, _connection: Any, _cursor: Any, sql: str, parameters: Any, *_: Any) -> None:
        self.asked.append(Asked(sql=sql, parameters=parameters))


@contextmanager
def listening(db: Database) -> Iterator[list[Asked]]:
    """Keep what is read in the meantime."""
    listener = Listener()
    event.listen(db.read_engine, "before_cursor_execute", listener.hear)
    try:
        yield listener.asked
    finally:
        event.remove(db.read_engine, "before_cursor_execute", listener.hear)


def plan(db: Database, asked: Asked) -> Plan:
    """Ask the database for its way."""
    with db.read_engine.connect() as connection:
        if db.is_sqlite:
            return _sqlite_plan(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {asked.sql}", asked.parameters).all())
        return _mariadb_plan(connection.exec_driver_sql(f"EXPLAIN {asked.sql}", asked.parameters).mappings().all())


def _sqlite_plan(lines: Sequence[Any]) -> Plan:
    """SQLite tells no numbers: whatever it sorts may be everything."""
    text = " | ".join(line.detail for line in lines)
    is_bad = "TEMP B-TREE" in text or any(f"SCAN {table}" in text for table in LONG)
    return Plan(text=text, sorted_rows=10**9 if is_bad else 0)


def _mariadb_plan(lines: Sequence[Any]) -> Plan:
    text = " | ".join(f"{line['table']} {line['type']} {line['key']} {line['rows']} {line['Extra']}" for line in lines)
    sorted_rows = [
        int(line["rows"] or 0)
        for line in (line for line in lines if line["table"] in LONG)
        if line["type"] in ("ALL", "index", "index_merge")
        or any(word in (line["Extra"] or "") for word in ("filesort", "temporary"))
    ]
    return Plan(text=text, sorted_rows=max(sorted_rows, default=0))


def cost(db: Database, asked: Sequence[Asked]) -> int:
    """Run the statements again and count what it takes: on MariaDB rows read, on SQLite steps of its machine."""
    with db.read_engine.connect() as connection:
        return sum((_steps if db.is_sqlite else _rows_read)(connection, each) for each in asked)


def _steps(connection: Connection, asked: Asked) -> int:
    driver = connection.connection.dbapi_connection
    assert isinstance(driver, sqlite3.Connection)
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    driver.set_progress_handler(count, 1)
    driver.execute(asked.sql, asked.parameters).fetchall()
    driver.set_progress_handler(None, 0)
    return steps


def _rows_read(connection: Connection, asked: Asked) -> int:
    def told() -> int:
        status = connection.exec_driver_sql("SHOW SESSION STATUS LIKE 'Handler_read%%'")
        return sum(int(line.Value) for line in status)

    before = told()
    connection.exec_driver_sql(asked.sql, asked.parameters).all()
    return told() - before

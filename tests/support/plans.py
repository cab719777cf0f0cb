"""How does a database answer a query: by which way, and how much does it read?"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, event

from common.database.engine import Database
from common.database.models import Base

SHORT = frozenset(
    {
        "teams",
        "users",
        "api_tokens",
        "password_resets",
        "invites",
        "signup_reviews",
        "mails",
        "upstreams",
        "refusals",
        "slots",
        "workers",
        "notification_targets",
    }
)  # may be read as a whole: few have many rows
LONG = frozenset(Base.metadata.tables) - SHORT
STEPS_A_ROW, STEPS_A_SORTED_ROW = 3, 30  # of SQLite's machine, at least
UNTOLD = 10**9
WHOLE = re.compile(r"\bSCAN (\w+)|\bSEARCH (\w+) USING AUTOMATIC")  # an index made for the one statement


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
        return explain(connection, asked)


def explain(connection: Connection, asked: Asked) -> Plan:
    """Ask for the way over a connection that may be in the midst of a transaction."""
    if connection.dialect.name == "sqlite":
        return _sqlite_plan(connection, asked)
    with connection.connection.cursor() as cursor:
        # Tables are short here, so that copying one whole looks cheap, now and then: nobody does with a long one.
        cursor.execute("SET SESSION optimizer_switch = 'materialization=off'")
        cursor.execute(f"EXPLAIN {asked.sql}", asked.parameters)
        names = [name for name, *_ in cursor.description]
        return _mariadb_plan([dict(zip(names, line, strict=True)) for line in cursor.fetchall()])


def _sqlite_plan(connection: Connection, asked: Asked) -> Plan:
    """SQLite tells no numbers: what is sorted, or read up to a limit, is asked for, to see what that takes."""
    lines = _driver(connection).execute(f"EXPLAIN QUERY PLAN {asked.sql}", asked.parameters).fetchall()
    text = " | ".join(line[-1] for line in lines)
    is_whole = LONG & {table for pair in WHOLE.findall(text) for table in pair}
    is_sorted = "TEMP B-TREE" in text and LONG & set(re.findall(r"\bSEARCH (\w+)", text))
    if not is_whole and not is_sorted:
        return Plan(text=text, sorted_rows=0)
    if not asked.sql.startswith("SELECT") or (is_whole and "LIMIT" not in asked.sql):
        return Plan(text=text, sorted_rows=UNTOLD)
    return Plan(text=text, sorted_rows=_steps(connection, asked) // (STEPS_A_ROW if is_whole else STEPS_A_SORTED_ROW))


def _mariadb_plan(lines: Sequence[Any]) -> Plan:
    text = " | ".join(f"{line['table']} {line['type']} {line['key']} {line['rows']} {line['Extra']}" for line in lines)
    sorted_rows = [
        int(line["rows"] or 0)
        for line in lines
        if re.sub(r"_\d+$", "", line["table"] or "") in LONG
        if line["type"] in ("ALL", "index", "index_merge")
        or any(word in (line["Extra"] or "") for word in ("filesort", "temporary"))
    ]
    return Plan(text=text, sorted_rows=max(sorted_rows, default=0))


def cost(db: Database, asked: Sequence[Asked]) -> int:
    """Run the statements again and count what it takes: on MariaDB rows read, on SQLite steps of its machine."""
    with db.read_engine.connect() as connection:
        return sum((_steps if db.is_sqlite else _rows_read)(connection, each) for each in asked)


def _steps(connection: Connection, asked: Asked) -> int:
    driver, steps = _driver(connection), 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    driver.set_progress_handler(count, 1)
    driver.execute(asked.sql, asked.parameters).fetchall()
    driver.set_progress_handler(None, 0)
    return steps


def _driver(connection: Connection) -> sqlite3.Connection:
    driver = connection.connection.dbapi_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


def _rows_read(connection: Connection, asked: Asked) -> int:
    def told() -> int:
        status = connection.exec_driver_sql("SHOW SESSION STATUS LIKE 'Handler_read%%'")
        return sum(int(line.Value) for line in status)

    before = told()
    connection.exec_driver_sql(asked.sql, asked.parameters).all()
    return told() - before

"""Engines for MySQL/MariaDB and SQLite: how a connection is made, and what the server is told to end by itself.

A process that is frozen or cut off from the network inside a transaction keeps its row locks for as long as the
server keeps its session: eight hours by default. So each session that has transactions asks the server to end it when
it says nothing:

    MariaDB   `idle_transaction_timeout`: only while a transaction is open
    MySQL     has no such limit. `wait_timeout`: connections that rest in our pool are closed as well, so the pool uses
              the one that rested last, and tests each before it is used

Statements that commit by themselves (`Commits.BY_STATEMENT`) leave no lock behind: their sessions need no limit.
"""

from __future__ import annotations

import os
import sqlite3
from enum import Enum
from typing import Any
from weakref import WeakSet

from pymysql.connections import Connection
from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool
from sqlalchemy.util.queue import Queue

from common.database import time_budget
from common.database.repeats import leave_demoted_server

ANSWERS_WITHIN_S = 15
FREE_WITHIN_S = 2  # a connection, while other threads have all of them
LOCK_WAIT_S = 1  # for a row that somebody else has locked; the shortest that the servers know
IDLE_TRANSACTION_S = 6  # MariaDB ends a transaction that says nothing for this long: less than a lease
IDLE_SESSION_S = 10  # MySQL ends a session
LOCKED_FOR_S = 10  # by another process, on SQLite
LONG_S = 24 * 3600  # a migration waits for another one


class Commits(Enum):
    """When the work of a connection is committed."""

    BY_TRANSACTION = "READ COMMITTED"  # REPEATABLE READ's gap locks deadlock insert-after-read
    BY_STATEMENT = "AUTOCOMMIT"


def session_settings(commits: Commits, *, is_migration: bool = False) -> str:
    """Return the statement that sets up a new session, in one trip on either server.

    `/*M! … */` is read by MariaDB only. `/*!80000 … */` is read by MySQL 8.0 and newer only: MariaDB skips the
    versions 50700 to 99999. Source: MariaDB, "Comment Syntax"; MySQL 8.4, "Comments".
    """
    if is_migration:
        return f"SET innodb_lock_wait_timeout = {LONG_S}"
    lock_wait = f"SET innodb_lock_wait_timeout = {LOCK_WAIT_S}"
    if commits is Commits.BY_STATEMENT:  # SQLAlchemy sets either the isolation level or autocommit
        level = "READ-COMMITTED"
        return f"{lock_wait} /*M! , tx_isolation = '{level}' */ /*!80000 , transaction_isolation = '{level}' */"
    limits = f"/*M! , idle_transaction_timeout = {IDLE_TRANSACTION_S} */ /*!80000 , wait_timeout = {IDLE_SESSION_S} */"
    return f"{lock_wait} {limits}"


class _BoundedConnection(Connection):
    """PyMySQL's, whose reads and writes keep to the time budget of the request: whatever is read, a ping included."""

    @property
    def _read_timeout(self) -> float | None:
        return time_budget.at_most(self._own_read_timeout)

    @_read_timeout.setter
    def _read_timeout(self, seconds: float | None) -> None:
        self._own_read_timeout = seconds

    @property
    def _write_timeout(self) -> float | None:
        return time_budget.at_most(self._own_write_timeout)

    @_write_timeout.setter
    def _write_timeout(self, seconds: float | None) -> None:
        self._own_write_timeout = seconds


class _BoundedQueue(Queue[ConnectionPoolEntry]):
    """SQLAlchemy's, in which a request waits for a free connection no longer than its time budget."""

    def get(self, block: bool = True, timeout: float | None = None) -> ConnectionPoolEntry:
        return super().get(block, time_budget.at_most(timeout))


class _BoundedPool(QueuePool):
    _queue_class = _BoundedQueue


def _connect_in_time(_dialect: Any, _record: Any, _arguments: Any, options: dict[str, Any]) -> Connection:
    """Connect, within the time budget. A `do_connect` hook."""
    return _BoundedConnection(**{**options, "connect_timeout": time_budget.at_most(options["connect_timeout"])})


def open_mysql(
    url: str, pool_size: int, answers_within_s: int | None = ANSWERS_WITHIN_S, *, commits: Commits
) -> Engine:
    """Return an engine for MySQL or MariaDB. `answers_within_s`: of a statement; None, for a migration: no limit."""
    engine = create_engine(
        url,
        isolation_level=commits.value,
        skip_autocommit_rollback=commits is Commits.BY_STATEMENT,
        poolclass=_BoundedPool,
        pool_pre_ping=True,
        pool_use_lifo=True,  # those that are not needed rest until the server or the pool ends them
        pool_recycle=280,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=FREE_WITHIN_S,
        hide_parameters=True,  # values stay out of exception texts and logs
        connect_args={
            "connect_timeout": 3,
            "read_timeout": answers_within_s,
            "write_timeout": answers_within_s,
            "charset": "utf8mb4",
            "init_command": session_settings(commits, is_migration=answers_within_s is None),
        },
    )
    event.listen(engine, "do_connect", _connect_in_time)
    event.listen(engine, "handle_error", leave_demoted_server)
    return _reset_after_fork(engine)


def open_sqlite(url: str, begin: str, wait_s: int) -> Engine:
    """Return an engine for SQLite. `begin` is IMMEDIATE, which takes its one write lock, or DEFERRED, for readers."""
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": wait_s}, pool_size=8, max_overflow=32)

    @event.listens_for(engine, "connect")
    def _connect(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None  # the driver's own BEGIN cannot wait for a lock: ours below can
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql(f"BEGIN {begin}")

    return _reset_after_fork(engine)


_engines: WeakSet[Engine] = WeakSet()


def _reset_after_fork(engine: Engine) -> Engine:
    """Make a forked process open its own connections: two on one would read each other's answers."""
    _engines.add(engine)
    return engine


def engines_to(url: URL) -> set[Engine]:
    """Return all engines of this process that lead to this address, whoever has opened them."""
    return {engine for engine in _engines if engine.url == url}


def _forget_connections() -> None:
    for engine in _engines:
        engine.dispose(close=False)  # they are the parent's


os.register_at_fork(after_in_child=_forget_connections)

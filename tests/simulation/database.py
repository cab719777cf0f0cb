"""The database of a simulation: SQLite in memory-backed files, with the faults and the row locks of a MySQL server.

Every process has connections of its own. A statement, a BEGIN and a COMMIT are points. Errors have the numbers and the
shape of the MySQL driver's, so that the engine treats them as it does there.
"""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from sqlalchemy import CursorResult, Engine, Executable, event
from sqlalchemy.orm import Session

from common.database import repeats
from common.database.engine import Database
from common.database.repeats import TRIES
from simulation.faults import FaultKind, PointKind

if TYPE_CHECKING:
    from simulation.scheduler import Process, Simulation

LOCK_WAIT_S = 1.0
KEPT_LOCKS_S = 6.0  # the server ends the session of a client that is silent inside a transaction
_TABLE = re.compile(r"(?:FROM|UPDATE|INTO)\s+(\w+)", re.IGNORECASE)


class OperationalError(Exception):
    """An error of the MySQL driver: SQLAlchemy translates it by its name, the engine tells it by its number."""


ERRORS = {
    FaultKind.LOST: (2013, "Lost connection to MySQL server during query"),
    FaultKind.LOST_AFTER: (2013, "Lost connection to MySQL server during query"),
    FaultKind.DEADLOCK: (1213, "Deadlock found when trying to get lock; try restarting transaction"),
    FaultKind.LOCK_WAIT: (1205, "Lock wait timeout exceeded; try restarting transaction"),
    FaultKind.READ_ONLY: (1290, "The MariaDB server is running with the --read-only option"),
}
DISCONNECTS = (2006, 2013)
Key = tuple[str, str]
Kept = dict[str, list[tuple[Any, ...]]]


class Cursor(sqlite3.Cursor):
    """A cursor whose statements are points of the simulation, and which skips what others have locked, if told so."""

    connection: Connection
    table = ""  # whose rows are locked by what is fetched
    skips_locked = False

    def execute(self, statement: str, parameters: Any = (), /) -> sqlite3.Cursor:
        self.table, self.skips_locked = self.connection.before(statement, parameters)
        return super().execute(statement, parameters)

    def executemany(self, statement: str, parameters: Any, /) -> sqlite3.Cursor:
        self.connection.before(statement, ())
        return super().executemany(statement, parameters)

    def fetchall(self) -> list[Any]:
        return self._locking(super().fetchall())

    def fetchmany(self, size: int | None = 1) -> list[Any]:
        return self._locking(super().fetchmany(size or 1))

    def fetchone(self) -> Any:
        row = super().fetchone()
        return next(iter(self._locking([row])), None) if row is not None else None

    def _locking(self, rows: list[Any]) -> list[Any]:
        if not self.table:
            return rows
        simulation = self.connection.simulation
        found = [(row, [(self.table, row[0])]) for row in rows]
        kept = [(row, keys) for row, keys in found if not (self.skips_locked and simulation.is_locked(keys))]
        for _, keys in kept:
            self.connection.held += keys
        return [row for row, _ in kept]


class Connection(sqlite3.Connection):
    """One session on the server, of one process."""

    process: Process
    simulation: Simulation
    is_killed = False
    writes = False
    fault_of_one: FaultKind | None = None

    def cursor(self, factory: Any = None) -> Any:  # type: ignore[override] # of the base class
        return super().cursor(factory or Cursor)

    def before(self, statement: str, parameters: Any) -> tuple[str, bool]:
        """Be at a point before a statement; raise what happens there.

        Returns whose rows it locks by reading them, and whether it skips those that others have locked.
        """
        simulation = self.simulation
        if not simulation.is_running or statement.startswith("PRAGMA"):
            return "", False
        if simulation.thread().commits_itself:
            self._before_one_that_commits_itself(statement)
        else:
            fault = simulation.point(PointKind.STATEMENT, _briefly(statement))
            self._require_session()
            if fault is not None:
                self.fail(fault)
        if statement == "BEGIN IMMEDIATE":
            simulation.await_writer(self)
            self.writes, self.held = True, []
        elif self.writes:
            return self._lock(statement, parameters)
        return "", False

    def _lock(self, statement: str, parameters: Any) -> tuple[str, bool]:
        """Lock what a statement names, and wait for it."""
        thread = self.simulation.thread()
        clause, thread.lock_clause = thread.lock_clause, None
        table = _TABLE.search(statement)
        if table is None or (statement.startswith("SELECT") and clause is None):
            return "", False  # a plain read locks nothing
        keys = [(table[1], value) for value in parameters if isinstance(value, str) and is_identity(value)]
        if clause is None or not clause.skip_locked:
            self.simulation.await_rows(self, keys)
            self.held += keys
            self._require_session()
        return table[1] if clause is not None else "", clause is not None and clause.skip_locked

    def _before_one_that_commits_itself(self, statement: str) -> None:
        """Be at its one point, before its BEGIN, which a server would not see: nothing is locked on the way."""
        if statement == "BEGIN IMMEDIATE":
            self.fault_of_one = self.simulation.point(PointKind.COMMIT, "one statement")
            self._require_session()
            if self.fault_of_one not in (None, FaultKind.LOST_AFTER):
                self.fail(self.fault_of_one)

    def commit(self) -> None:
        simulation = self.simulation
        if not simulation.is_running or not self.in_transaction:
            super().commit()
            return
        if simulation.thread().commits_itself:
            fault = self.fault_of_one
        else:
            fault = simulation.point(PointKind.COMMIT, "COMMIT")
        self._require_session()
        if fault is FaultKind.LOST_AFTER:
            super().commit()
            self._end()
            raise self._error(fault)
        if fault is not None:
            self.fail(fault)
        super().commit()
        self._end()
        simulation.point(PointKind.COMMITTED, "COMMIT")

    def rollback(self) -> None:
        super().rollback()
        self._end()

    def close(self) -> None:
        if self in self.process.connections:
            self.process.connections.remove(self)
        self._end()
        super().close()

    def kill(self) -> list[Key]:
        """End the session from the server's side; return what it had locked."""
        held = list(self.held) if self.writes else []
        self.is_killed = True
        super().rollback()
        self._end()
        return held

    held: list[Key] = []  # noqa: RUF012 - replaced at each BEGIN

    def fail(self, fault: FaultKind) -> None:
        """Raise the error of a fault. All but a lock wait end the transaction on the server."""
        if fault is not FaultKind.LOCK_WAIT:
            super().rollback()
            self._end()
        raise self._error(fault)

    def _error(self, fault: FaultKind) -> OperationalError:
        error = OperationalError(*ERRORS[fault])
        self.is_killed = self.is_killed or error.args[0] in DISCONNECTS
        return error

    def _require_session(self) -> None:
        if self.is_killed:
            raise OperationalError(*ERRORS[FaultKind.LOST])

    def _end(self) -> None:
        self.writes = False
        self.simulation.release_writer(self)


def _briefly(statement: str) -> str:
    table = _TABLE.search(statement)
    return f"{statement.partition(' ')[0]} {table[1]}" if table else statement[:40]


def is_identity(value: str) -> bool:
    return len(value) == 36 or value in ("gitlab", "jenkins", "argocd", "elasticsearch")


class SimulatedDatabase(Database):
    """A database in which a statement that commits itself is one point, as it is one message to a MySQL server."""

    simulation: Simulation

    def execute(self, statement: Executable, *, within: Session | None = None) -> CursorResult[Any]:
        thread = self.simulation.current
        if thread is None or within is not None:
            return super().execute(statement, within=within)
        thread.commits_itself = True
        try:
            return super().execute(statement)
        finally:
            thread.commits_itself = False


def open_database(path: Path, process: Process, simulation: Simulation, *, tries: int = TRIES) -> Database:
    """Open the database as one process sees it."""
    db = SimulatedDatabase(f"sqlite:///{path}", now=simulation.time, tries=tries)
    db.simulation = simulation
    for engine in (db.engine, db.read_engine):
        _equip(engine, process, simulation)
        event.listen(engine, "handle_error", repeats.leave_demoted_server)
        event.listen(engine, "handle_error", db._leave_demoted_server)  # noqa: SLF001 - as on MySQL
    return db


def _equip(engine: Engine, process: Process, simulation: Simulation) -> None:
    engine.dialect.dbapi = _DRIVER

    @event.listens_for(engine, "do_connect")
    def _connect(_dialect: Any, _record: Any, _arguments: Any, options: dict[str, Any]) -> None:
        options["factory"] = Connection

    @event.listens_for(engine, "connect", insert=True)
    def _own(connection: Connection, _record: Any) -> None:
        connection.process, connection.simulation = process, simulation
        process.connections.append(connection)

    @event.listens_for(engine, "before_execute")
    def _note_lock_clause(_connection: Any, statement: Any, *_: Any) -> None:
        if simulation.is_running:
            simulation.thread().lock_clause = getattr(statement, "_for_update_arg", None)

    @event.listens_for(engine, "handle_error")
    def _tell(context: Any) -> None:
        original = context.original_exception
        if isinstance(original, OperationalError) and original.args[0] in DISCONNECTS:
            context.is_disconnect = True


_DRIVER: Any = SimpleNamespace(**{**vars(sqlite3), "Error": (sqlite3.Error, OperationalError)})


class Rows:
    """The rows of all tables, kept aside and put back."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode=WAL")
        tables = self._connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        )
        self._tables = [name for (name,) in tables if name != "alembic_version"]
        self._connection.execute("PRAGMA foreign_keys=OFF")

    def keep(self) -> Kept:
        """Return all rows, by table."""
        found = {table: self.ask(f'SELECT * FROM "{table}"') for table in self._tables}  # noqa: S608 - our names
        return {table: rows for table, rows in found.items() if rows}

    def put_back(self, kept: Kept) -> None:
        run, insert = self._connection.execute, self._connection.executemany
        run("BEGIN IMMEDIATE")
        for table in self._tables:
            run(f'DELETE FROM "{table}"')  # noqa: S608 - our names
        for table, rows in kept.items():
            insert(f'INSERT INTO "{table}" VALUES ({", ".join("?" * len(rows[0]))})', rows)  # noqa: S608 - our names
        run("COMMIT")

    def ask(self, statement: str, *parameters: Any) -> list[Any]:
        """Ask without being a point: nobody's process."""
        return self._connection.execute(statement, parameters).fetchall()

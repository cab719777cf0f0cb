"""The doctor's checks of the database: reachable, at this version's schema, and set up to store what we write."""

from __future__ import annotations

import contextlib
import threading
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy import func, make_url, select, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from common.admission import refusals
from common.database import connections, failures, migrate, servers
from common.database.engine import Database
from common.database.migrate import SchemaError
from common.database.models import App, Base
from common.database.servers import Support
from worker.upstreams.check import Check, CheckFailedError, CheckInconclusiveError

UPGRADE = "flask --app api db upgrade"
SOON_S = 2.0
_ACCESS_DENIED, _NO_DATABASE_RIGHT, _NO_DATABASE = 1045, 1044, 1049


class DatabaseChecks:
    def __init__(self, url: str) -> None:
        self._url = make_url(url)
        self._db = Database(url, pool_size=1)

    def all(self) -> tuple[Check, ...]:
        checks = (
            Check(
                name="answers",
                question="Can we connect to the database at DB_URL?",
                remedy="start the database server, or correct DB_URL",
                run=self._answers,
            ),
            Check(
                name="schema",
                question="Is its schema that of this version?",
                remedy=UPGRADE,
                run=self._schema,
                needs=("answers",),
            ),
            Check(
                name="refusals",
                question="Does every upstream accept what the running workers log in with?",
                remedy="correct the cause; the workers notice by themselves",
                run=self._refusals,
                needs=("schema",),
            ),
        )
        return checks if self._db.is_sqlite else (*checks, *self._mysql_checks())

    def namespaces(self, team: str) -> list[str]:
        """Return the namespaces in which the team's apps run; none when the database does not show them soon."""
        return self._namespaces.get(team, [])

    @cached_property
    def _namespaces(self) -> dict[str, list[str]]:
        """Read them in a thread: a database that hangs must not hold up the checks of an upstream."""
        found: dict[str, list[str]] = {}
        reader = threading.Thread(target=self._read_namespaces, args=(found,), daemon=True)
        reader.start()
        reader.join(SOON_S)
        return dict(found)

    def _read_namespaces(self, found: dict[str, list[str]]) -> None:
        rows = select(App.team_id, func.coalesce(App.namespace, App.name)).where(App.claimed_name.is_not(None))
        with contextlib.suppress(CheckFailedError, SQLAlchemyError):  # the checks of the database say so
            self._answers()
            for team, namespace in sorted(self._db.read(lambda session: session.execute(rows).all())):
                found.setdefault(team, []).append(namespace)

    def _mysql_checks(self) -> list[Check]:
        return [
            Check(
                name="version",
                question="Is the server of a version that is supported?",
                remedy=f"take a server that is supported: {servers.SUPPORTED}",
                run=self._version,
                needs=("answers",),
            ),
            Check(
                name="idle sessions",
                question="Does it end a transaction whose process says nothing any more?",
                remedy="let DB_URL lead to the server itself, or to a proxy that passes SET on to it",
                run=self._silent_sessions,
                needs=("answers",),
            ),
            Check(
                name="character set",
                question="Are all our tables utf8mb4, in InnoDB?",
                remedy="ALTER TABLE NAME CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci, ENGINE=InnoDB",
                run=self._tables,
                needs=("schema",),
            ),
            Check(
                name="isolation",
                question="Can transactions be READ COMMITTED?",
                remedy="in my.cnf, section mysqld: binlog_format=ROW; restart the server",
                run=self._isolation,
                needs=("answers",),
            ),
            Check(
                name="strict mode",
                question="Does the server refuse what it cannot store?",
                remedy="in my.cnf, section mysqld: add STRICT_TRANS_TABLES to sql_mode; restart the server",
                run=self._strict,
                needs=("answers",),
            ),
        ]

    def _answers(self) -> str:
        if self._db.is_sqlite and not Path(str(self._url.database)).exists():  # connecting would create an empty one
            raise CheckFailedError("the database file does not exist yet", UPGRADE)
        try:
            self._read("SELECT 1")
        except SQLAlchemyError as error:
            raise self._refused(error) from None
        return self._url.get_backend_name()

    def _refused(self, error: SQLAlchemyError) -> CheckFailedError:
        code = error.orig.args[0] if isinstance(error, DBAPIError) and error.orig and error.orig.args else None
        name, user = self._url.database, self._url.username
        if code == _ACCESS_DENIED:
            return CheckFailedError(
                f"the server refuses the user {user}", "correct the user and the password in DB_URL"
            )
        if code == _NO_DATABASE:
            remedy = f"CREATE DATABASE {name} CHARACTER SET utf8mb4; then {UPGRADE}"
            return CheckFailedError(f"the server has no database {name}", remedy)
        if code == _NO_DATABASE_RIGHT:
            remedy = f"GRANT ALL ON {name}.* TO '{user}'"
            return CheckFailedError(f"the user {user} has no right on the database {name}", remedy)
        said = f" ({failures.said(error)})" if isinstance(error, DBAPIError) else ""
        return CheckFailedError(f"the database cannot be reached{said}")

    def _schema(self) -> str:
        try:
            migrate.check(self._db)
        except SchemaError as error:
            raise CheckFailedError(error.what, error.remedy) from None
        except DBAPIError as error:
            raise CheckFailedError(
                f"the schema cannot be read ({failures.said(error)})",
                "give the user of DB_URL the right to read and write all tables",
            ) from None
        return "current"

    def _refusals(self) -> str:
        """Report the holds that workers have begun: other logins than this process has, too."""
        try:
            held = self._db.read(refusals.held)
        except SQLAlchemyError:
            raise CheckInconclusiveError("the database does not show it") from None
        if not held:
            return "yes"
        problems = "; ".join(
            f"{row.cause}, since {row.since:%Y-%m-%d %H:%M:%S} UTC, checked again at {row.look_at:%H:%M:%S} UTC"
            for row in held
        )
        raise CheckFailedError(problems, "; ".join(dict.fromkeys(row.remedy for row in held)))

    def _tables(self) -> str:
        query = (
            "SELECT table_name, table_collation, engine FROM information_schema.tables WHERE table_schema = DATABASE()"
        )
        ours = set(Base.metadata.tables)
        rows = [row for row in self._rows(query) if row[0] in ours]
        wrong = sorted(str(row[0]) for row in rows if not str(row[1]).startswith("utf8mb4") or row[2] != "InnoDB")
        if wrong:
            raise CheckFailedError(f"not utf8mb4 in InnoDB: {', '.join(wrong)}")
        return f"{len(rows)} tables"

    def _version(self) -> str:
        version = self._server_version()
        support = servers.support_of(version)
        if support is Support.TOO_OLD:
            raise CheckFailedError(f"the server is too old: {version}")
        if support is Support.UNTRIED:
            raise CheckInconclusiveError(
                f"nobody has tried this version: {version}", f"take one that is supported: {servers.SUPPORTED}"
            )
        return version

    def _silent_sessions(self) -> str:
        """Read what `common/database/connections.py` asked the server for: a proxy may have kept it to itself."""
        if servers.is_mariadb(self._server_version()):
            name, most_s = "idle_transaction_timeout", connections.IDLE_TRANSACTION_S
        else:
            name, most_s = "wait_timeout", connections.IDLE_SESSION_S
        limit_s = int(self._rows(f"SELECT @@SESSION.{name}")[0][0])
        if not 0 < limit_s <= most_s:
            raise CheckFailedError(
                f"{name} of our sessions is {limit_s}: a worker that is frozen may keep its locks for so long"
            )
        return f"after {limit_s} s"

    def _server_version(self) -> str:
        return str(self._rows("SELECT VERSION()")[0][0])

    def _isolation(self) -> str:
        """With statements in the binary log, every write of such a transaction is refused (error 1665)."""
        log, form = self._rows("SELECT @@log_bin, @@binlog_format")[0]
        if log and str(form).upper() == "STATEMENT":
            raise CheckFailedError("the binary log records statements, so the server refuses every write of ours")
        return "yes"

    def _strict(self) -> str:
        mode = str(self._rows("SELECT @@sql_mode")[0][0])
        if "STRICT" not in mode:
            raise CheckFailedError("sql_mode is not strict, so the server would silently cut off what is too long")
        return "yes"

    def _rows(self, statement: str) -> list[Any]:
        try:
            return self._read(statement)
        except SQLAlchemyError:
            raise CheckInconclusiveError("the server does not show it") from None

    def _read(self, statement: str) -> list[Any]:
        with self._db.read_engine.connect() as connection:
            return list(connection.execute(text(statement)).all())

"""How the schema gets from any version to this one: with what is in it, beside others, after an interruption."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from alembic.migration import MigrationContext
from sqlalchemy import event, inspect, select, text, update
from sqlalchemy.dialects.mysql import VARCHAR
from support import revisions as rows
from support.api import ENVIRONMENT, open_api
from support.checkout import ROOT
from support.mariadb import Server, wait_until
from support.world import Time

from common.database import migrate, servers
from common.database.engine import Database
from common.database.migrate import SchemaError
from common.database.models import App, Base, Job, Step, User
from common.states import StepState

REVISIONS = migrate.revisions()
WITHIN_S = 20.0
_NUMBERS = itertools.count(1)
UPGRADE = (sys.executable, "-m", "flask", "--app", "api", "db", "upgrade")


@pytest.fixture(params=["sqlite", "mariadb"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database with nothing in it."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    private: Server = request.getfixturevalue("private")
    return private.url(f"empty_{next(_NUMBERS)}")


@pytest.fixture
def empty(empty_url: str) -> Iterator[Database]:
    db = Database(empty_url)
    yield db
    db.dispose()


class Interrupted(BaseException):
    """The process ends here: nothing catches it."""


# -- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("revision", "said"),
    [
        (None, "is at schema none, this version needs"),
        (REVISIONS[0], "run `flask --app api db upgrade`"),
        ("9999", "is at schema 9999, which this version does not know: start the version that brought it there"),
    ],
)
def test_the_api_takes_no_work_on_another_versions_schema(
    empty: Database, empty_url: str, time: Time, revision: str | None, said: str
) -> None:
    if revision is not None:
        _bring_to(empty, revision)

    with open_api(empty_url, time) as api:
        ready, signup = api.visitor.get("/readyz"), api.sign_up("grace")

    assert (ready.status_code, signup.status_code) == (503, 503)
    assert said in ready.json["detail"]
    assert said in signup.json["detail"]


def test_a_newer_schema_is_left_alone(empty: Database) -> None:
    _bring_to(empty, "9999")

    with pytest.raises(SchemaError, match="which this version does not know"):
        migrate.upgrade(empty)


def _bring_to(db: Database, revision: str) -> None:
    """Let the database say that it is at a revision."""
    migrate.upgrade(db, REVISIONS[0])
    with db.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})


@pytest.mark.parametrize("empty_url", ["mariadb"], indirect=True)
def test_an_upgrade_waits_for_one_of_an_older_version(empty: Database) -> None:
    """Until now the server made the name of the lock; MySQL 9.6 cannot."""
    if not servers.is_mariadb(servers.version_of(empty) or ""):
        pytest.skip("no older version runs on this server")
    with empty.engine.connect() as older:
        used = older.scalar(text("SELECT CONCAT('slipway.', MD5(DATABASE()))"))
        assert used == migrate.lock_name(older.scalar(text("SELECT DATABASE()")) or "")


# -- what an upgrade makes ----------------------------------------------------------------------------------------


def test_the_migrations_make_what_the_models_say(db: Database) -> None:
    assert migrate.differences(db) == []


@pytest.mark.parametrize("db_url", ["mariadb"], indirect=True)  # SQLite compares byte by byte
def test_names_that_must_match_exactly_do_on_mariadb(db: Database) -> None:
    exact = {
        (table.name, column.name)
        for table in Base.metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type.dialect_impl(db.engine.dialect), VARCHAR)
        and column.type.dialect_impl(db.engine.dialect).collation == "ascii_bin"
    }
    asked = "SELECT table_name, column_name, collation_name FROM information_schema.columns"

    with db.engine.connect() as connection:
        rows = connection.execute(text(f"{asked} WHERE table_schema = DATABASE()")).all()
    collations = {(table, column): collation for table, column, collation in rows}

    assert ("users", "login") in exact
    assert {where: collations[where] for where in exact} == dict.fromkeys(exact, "ascii_bin")


def test_what_older_versions_wrote_is_there_afterwards(empty: Database) -> None:
    for revision in REVISIONS:
        migrate.upgrade(empty, revision)
        with empty.engine.begin() as connection:
            rows.fill(connection, revision)

    migrate.check(empty)
    assert migrate.differences(empty) == []
    with empty.engine.connect() as connection:
        assert rows.counts(connection) == rows.EXPECTED
    _assert_readable(empty)


def _assert_readable(db: Database) -> None:
    """Read the rows as this version does."""
    app, person = db.read(lambda session: (session.get_one(App, rows.APP), session.get_one(User, rows.PERSON)))
    waiting = db.read(lambda session: session.scalars(select(Step).where(Step.state == StepState.WAITING)).one())
    assert (app.description, person.login) == ("ein Übersetzer 🚢", "grace")
    assert waiting.nudge_at is not None
    assert waiting.nudge_at.isoformat() == "2026-01-02T03:04:05.678901+00:00"
    db.transaction(lambda session: session.execute(update(Job).where(Job.id == rows.JOB).values(version=4)))


@pytest.mark.parametrize("empty_url", ["sqlite"], indirect=True)  # MariaDB is tested below
def test_two_upgrades_at_once_do_it_once(empty: Database, empty_url: str, tmp_path: Path) -> None:
    environment = {**os.environ, **ENVIRONMENT, "DB_URL": empty_url, "PYTHONPATH": str(ROOT)}
    both = [subprocess.Popen(UPGRADE, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) for _ in "ab"]

    said = [each.communicate(timeout=60)[1] for each in both]

    assert [each.returncode for each in both] == [0, 0], said
    migrate.check(empty)
    assert migrate.differences(empty) == []


def test_an_upgrade_waits_for_another_one(private: Server) -> None:
    url = private.url("turns")
    first, second, go_on = Database(url), Database(url), threading.Event()

    with ThreadPoolExecutor(2) as pool, _heard(first, "CREATE TABLE teams", lambda: go_on.wait(WITHIN_S)):
        upgrades = [pool.submit(migrate.upgrade, first)]
        wait_until("the first is at it", lambda: _is_locked(private))
        upgrades.append(pool.submit(migrate.upgrade, second))
        wait_until("the second waits", lambda: _states(private).count("User lock") == 1)
        go_on.set()
        for each in upgrades:
            each.result(WITHIN_S)

    migrate.check(second)
    first.dispose()
    second.dispose()


def test_no_migration_copies_a_table_or_shuts_writers_out(private: Server) -> None:
    private.run("SET GLOBAL alter_algorithm = 'NOCOPY'")  # a statement that needs more is refused
    db = Database(private.url("online"))
    try:
        migrate.upgrade(db)
    finally:
        private.run("SET GLOBAL alter_algorithm = 'DEFAULT'")
        db.dispose()


def _is_locked(private: Server) -> bool:
    return private.run("SELECT IS_USED_LOCK(CONCAT('slipway.', MD5('turns')))")[0][0] is not None


def _states(private: Server) -> list[str]:
    return [str(state) for (state,) in private.run("SELECT state FROM information_schema.processlist")]


# -- what befalls it ----------------------------------------------------------------------------------------------


def test_an_upgrade_that_is_interrupted_at_any_statement_goes_on_where_it_was(private: Server) -> None:
    db = Database(private.url("interrupted"))
    reached, allowed, runs = None, 1, 0
    while _is_interrupted(db, after=allowed):
        before, reached, runs = reached, _revision(db), runs + 1
        allowed = 1 if reached != before else allowed + 1

    migrate.check(db)
    assert runs > len(Base.metadata.tables)
    assert migrate.differences(db) == []
    db.dispose()


def _is_interrupted(db: Database, *, after: int) -> bool:
    """Upgrade, and die after so many statements that change something; say whether it came to that."""
    statements = iter(range(after))

    def die_in_the_end() -> None:
        if next(statements, None) is None:
            raise Interrupted

    with _heard(db, ("CREATE", "ALTER", "DROP", "INSERT", "UPDATE"), die_in_the_end):
        try:
            migrate.upgrade(db)
        except Interrupted:
            return True
    return False


def _revision(db: Database) -> str | None:
    with db.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


@pytest.mark.parametrize("empty_url", ["sqlite"], indirect=True)
def test_on_sqlite_an_upgrade_that_is_interrupted_has_changed_nothing(empty: Database) -> None:
    migrate.upgrade(empty, REVISIONS[0])
    before = set(inspect(empty.engine).get_table_names())

    assert _is_interrupted(empty, after=3)

    assert set(inspect(empty.engine).get_table_names()) == before
    migrate.upgrade(empty)
    assert migrate.differences(empty) == []


def test_an_upgrade_says_what_is_in_its_way(empty: Database) -> None:
    migrate.upgrade(empty, REVISIONS[0])
    with empty.engine.begin() as connection:
        connection.execute(
            text("CREATE TABLE tallies (bucket INTEGER PRIMARY KEY, period INTEGER, expires_at TIMESTAMP)")
        )

    with pytest.raises(SchemaError, match="tallies"):
        migrate.upgrade(empty)


def test_an_index_of_somebodys_own_is_no_reason_to_stop(empty: Database) -> None:
    migrate.upgrade(empty, REVISIONS[0])
    with empty.engine.begin() as connection:
        connection.execute(text("CREATE INDEX of_our_own ON jobs (kind)"))

    migrate.upgrade(empty)

    assert "of_our_own" in migrate.differences(empty)[0]


@contextmanager
def _heard(db: Database, beginnings: str | tuple[str, ...], act: Callable[[], object]) -> Iterator[None]:
    """Do something before each statement that begins so."""

    def hear(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.lstrip().startswith(beginnings):
            act()

    event.listen(db.engine, "before_cursor_execute", hear)
    try:
        yield
    finally:
        event.remove(db.engine, "before_cursor_execute", hear)

"""What a backup holds, from which server to which it goes, and that half of one is refused."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pymysql
import pytest
from sqlalchemy import func, insert, make_url, select, text
from sqlalchemy.orm import Session
from support import revisions as rows
from support.bulk_data import fill
from support.mariadb import Server
from support.services import MARIADB_SERVER

from common.database import backups, migrate
from common.database.backups import BackupError
from common.database.engine import Database
from common.database.ids import new_id
from common.database.migrate import SchemaError
from common.database.models import App, Project, Resource, User

Empty = Callable[[], Database]
_NUMBERS = itertools.count(1)


@pytest.fixture
def filled(db: Database) -> Database:
    """A database with rows that every version since the first has written, binary ones and odd letters among them."""
    with db.engine.begin() as connection:
        for revision in migrate.revisions():
            rows.fill(connection, revision)
    return db


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Empty]:
    """Make databases with nothing in them, of SQLite."""
    made: list[Database] = []

    def make() -> Database:
        made.append(Database(f"sqlite:///{tmp_path / f'empty-{next(_NUMBERS)}.db'}"))
        return made[-1]

    yield make
    for each in made:
        each.dispose()


def _taken(db: Database) -> io.BytesIO:
    out = io.BytesIO()
    backups.write(db, out)
    out.seek(0)
    return out


def _lines(backup: io.BytesIO) -> list[bytes]:
    """Return what it says, the time of it apart, in an order that does not depend on the server."""
    return sorted(gzip.decompress(backup.getvalue()).splitlines()[1:])


def _meaning(backup: io.BytesIO) -> list[str]:
    """Return what it says with its documents read: MySQL stores JSON with its keys in an order of its own."""
    rows = [json.loads(line) for line in _lines(backup)]
    return sorted(repr([_read(each) for each in row] if isinstance(row, list) else row) for row in rows)


def _read(value: object) -> object:
    return sorted(json.loads(value).items()) if isinstance(value, str) and value.startswith("{") else value


def test_what_is_restored_is_what_was_backed_up(filled: Database, empty: Empty) -> None:
    backup, restored = _taken(filled), empty()

    counts = backups.restore(restored, backup)

    assert _lines(_taken(restored)) == _lines(backup)
    assert counts["resources"] == filled.read(lambda s: s.scalar(select(func.count()).select_from(Resource)))
    migrate.check(restored)
    assert restored.read(lambda s: s.scalars(select(App.description)).first()) == "ein Übersetzer 🚢"


@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
def test_it_goes_from_sqlite_to_a_server(filled: Database, private: Server) -> None:
    backup, server = _taken(filled), Database(private.url(f"restored_{next(_NUMBERS)}"))

    backups.restore(server, backup)

    assert _meaning(_taken(server)) == _meaning(backup)
    server.dispose()


def test_sessions_one_time_codes_and_counters_are_left_out(filled: Database) -> None:
    tables = {json.loads(line)["table"] for line in _lines(_taken(filled)) if line.startswith(b'{"table"')}

    assert {"users", "api_tokens", "secrets", "kept_answers"} <= tables
    assert not tables & {"sessions", "password_resets", "tallies"}


@pytest.mark.parametrize("db_url", ["mariadb"], indirect=True)
def test_the_right_to_read_is_enough(filled: Database, db_url: str) -> None:
    server, name = make_url(MARIADB_SERVER), f"reader_{next(_NUMBERS)}"
    login = {"host": server.host or "127.0.0.1", "port": server.port or 3306, "user": server.username}
    with pymysql.connect(**login, password=server.password or "", ssl_disabled=True) as root, root.cursor() as cursor:
        cursor.execute(f"CREATE USER {name}@'%' IDENTIFIED BY 'a password'")
        cursor.execute(f"CREATE USER {name}@localhost IDENTIFIED BY 'a password'")
        for host in ("'%'", "localhost"):
            cursor.execute(f"GRANT SELECT ON {make_url(db_url).database}.* TO {name}@{host}")
        reader = Database(
            make_url(db_url).set(username=name, password="a password").render_as_string(hide_password=False)
        )
        try:
            assert _lines(_taken(reader)) == _lines(_taken(filled))
        finally:
            reader.dispose()
            cursor.execute(f"DROP USER {name}@'%', {name}@localhost")


def test_it_is_a_picture_of_one_moment_while_others_write(db: Database, empty: Empty) -> None:
    """A project and its app are one transaction: a backup has both or neither."""
    many, restored, is_over = fill(db, 2_000), empty(), threading.Event()
    user_id = str(db.read(lambda s: s.scalars(select(User.id)).first()))
    began = threading.Event()

    def write() -> None:
        while not is_over.is_set():
            _add_pair(db, many.team, user_id)
            began.set()

    writer = threading.Thread(target=write)
    writer.start()
    began.wait(10)
    backup = _taken(db)
    is_over.set()
    writer.join()

    backups.restore(restored, backup)

    projects, apps = (
        set(restored.read(lambda s, of=of: s.scalars(select(of.name).where(of.name.startswith("pair-"))).all()))
        for of in (Project, App)
    )
    assert projects == apps
    assert (
        0 < len(projects) <= db.read(lambda s: s.scalar(select(func.count()).where(Project.name.startswith("pair-"))))
    )


def _add_pair(db: Database, team: str, user_id: str) -> None:
    name = f"pair-{next(_NUMBERS)}"
    row = {
        "id": new_id(),
        "name": name,
        "description": "",
        "created_by": user_id,
        "created_at": db.now(),
        "team_id": team,
    }
    app = {**row, "id": new_id(), "project_id": row["id"], "claimed_name": name, "type": "Flask"}

    def work(session: Session) -> None:
        session.execute(insert(Project), [row])
        session.execute(insert(App), [app])

    db.transaction(work)


@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("left", [0.1, 0.5, 0.99])
def test_half_of_one_is_refused_and_nothing_starts_on_it(filled: Database, empty: Empty, left: float) -> None:
    whole, restored = _taken(filled).getvalue(), empty()
    half = whole[: int(len(whole) * left)]

    with pytest.raises(BackupError, match="incomplete or damaged"):
        backups.check(io.BytesIO(half))
    with pytest.raises(BackupError, match="incomplete or damaged"):
        backups.restore(restored, io.BytesIO(half))

    if restored.read(lambda s: bool(s.execute(text("SELECT 1 FROM sqlite_master")).first())):
        with pytest.raises(SchemaError, match="not restored to its end"):
            migrate.check(restored)
        with pytest.raises(SchemaError, match="not restored to its end"):
            migrate.upgrade(restored)


@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: lines[:-1], "its end is missing"),
        (lambda lines: lines[:2], "its end is missing"),
        (lambda lines: lines[:-2] + lines[-1:], "does not have the rows that it says"),
        (lambda lines: lines[1:], "no backup of Slipway"),
        (lambda lines: [lines[0].replace(b'"slipway_backup":1', b'"slipway_backup":2'), *lines[1:]], "newer version"),
    ],
)
def test_what_lacks_a_line_is_refused(
    filled: Database, change: Callable[[list[bytes]], list[bytes]], said: str
) -> None:
    lines = gzip.decompress(_taken(filled).getvalue()).splitlines(keepends=True)

    with pytest.raises(BackupError, match=said):
        backups.check(io.BytesIO(gzip.compress(b"".join(change(lines)))))


@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
def test_a_database_that_has_something_is_left_alone(filled: Database) -> None:
    backup = _taken(filled)

    with pytest.raises(BackupError, match="The database is not empty"):
        backups.restore(filled, backup)

    migrate.check(filled)


def test_one_of_an_older_version_is_restored_as_it_was_and_upgraded(empty: Empty) -> None:
    older, restored = empty(), empty()
    for revision in migrate.revisions()[:5]:
        migrate.upgrade(older, revision)
        with older.engine.begin() as connection:
            rows.fill(connection, revision)

    backups.restore(restored, _taken(older))
    migrate.upgrade(restored)

    assert migrate.differences(restored) == []
    assert restored.read(lambda s: s.scalars(select(User.login)).all()) == ["grace"]


def test_no_tables_are_no_backup(empty: Empty) -> None:
    with pytest.raises(SchemaError, match="has no tables of Slipway"):
        _taken(empty())

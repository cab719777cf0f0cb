"""Commands for backups of the database: `flask --app api db backup, verify, restore`."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import click
from sqlalchemy import make_url

from api.commands.base import Refusal, print_note
from api.commands.database import SchemaCommand, connected
from api.commands.text import number
from api.service import service
from common.database import backups, migrate
from common.database.backups import BackupError, Counts
from common.database.engine import Database

a_file = click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))


@click.command(cls=SchemaCommand)
@a_file
def backup(file: Path) -> None:
    """Write a backup of the database to FILE.

    FILE may be - (standard output). It appears when it is complete: until then it is written under another name
    beside it, and then read once. Needs no more than the right to read the tables. Slipway goes on working meanwhile;
    an upgrade of the schema waits.
    """
    db = connected()
    if _is_stream(file):
        if sys.stdout.isatty():
            raise click.UsageError("A backup is not for a terminal: name a file, or send standard output to one.")
        counts = backups.write(db, sys.stdout.buffer)
    else:
        with _told():
            counts = _written(file, lambda out: backups.write(db, out))
    print_note(f"Backed up {_summary(counts)}. Restore it once to be sure: flask --app api db verify {file}")


@click.command(cls=SchemaCommand)
@a_file
@click.option(
    "--scratch",
    metavar="NAME",
    help="Restore into this empty database of the server at DB_URL.  [default: a temporary file of SQLite]",
)
def verify(file: Path, scratch: str | None) -> None:
    """Restore a backup into a scratch database and upgrade it there.

    FILE may be - (standard input). The scratch database is empty afterwards. Exit code 1: the backup is of no use.
    """
    with _told(), _scratch(scratch) as db, _opened(file) as source:
        counts = backups.restore(db, source)
        migrate.upgrade(db)
    click.echo(f"The backup is complete: {_summary(counts)}. It was restored and upgraded to this version's schema.")


@click.command(cls=SchemaCommand)
@a_file
def restore(file: Path) -> None:
    """Restore a backup into the empty database at DB_URL.

    FILE may be - (standard input). Stop the API, the workers and Flower first. Until the last row is there, none of
    them starts on this database. Nobody is logged in afterwards.
    """
    with _told(), _opened(file) as source:
        counts = backups.restore(connected(), source)
    click.echo(f"Restored {_summary(counts)}. Nobody is logged in.")
    print_note(
        "Next: flask --app api db upgrade. Before you start workers: docs/operations.md, After a database restore."
    )


def _written(file: Path, write: Callable[[BinaryIO], Counts]) -> Counts:
    """Let `write` write a file that appears under its name when it is complete and on the disk."""
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f"{file.name}.", suffix=".partial")
    partial = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as out:
            counts = write(out)
            out.flush()
            os.fsync(out.fileno())
        with partial.open("rb") as source:
            backups.check(source)
        partial.replace(file)
        _sync_directory(file.parent)
    finally:
        partial.unlink(missing_ok=True)
    return counts


def _sync_directory(place: Path) -> None:
    descriptor = os.open(place, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _scratch(name: str | None) -> Iterator[Database]:
    """Open a database for one restore, and leave it as it was: empty, or not there."""
    with tempfile.TemporaryDirectory(prefix="slipway-verify-") as place:
        here = f"sqlite:///{Path(place) / 'scratch.db'}"
        db = Database(_url_beside(name) if name else here, answers_within_s=None)
        try:
            backups.require_empty(db)
            try:
                yield db
            finally:
                backups.drop_tables(db)
        finally:
            db.dispose()


def _url_beside(name: str) -> str:
    url = make_url(service().settings.db_url.get_secret_value())
    if url.get_backend_name() == "sqlite":
        raise click.UsageError("--scratch names a database of a server, and DB_URL is a file.")
    if name == url.database:
        raise Refusal("The scratch database is emptied: it cannot be the one at DB_URL.")
    return url.set(database=name).render_as_string(hide_password=False)


@contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    if _is_stream(file):
        yield sys.stdin.buffer
    else:
        with file.open("rb") as source:
            yield source


@contextmanager
def _told() -> Iterator[None]:
    """Turn what may be wrong with a file into a sentence."""
    try:
        yield
    except BackupError as problem:
        raise click.ClickException(str(problem)) from None
    except OSError as error:
        raise click.ClickException(f"{error.filename or 'The file'}: {error.strerror}.") from None


def _is_stream(file: Path) -> bool:
    return str(file) == "-"


def _summary(counts: Counts) -> str:
    return f"{number(sum(counts.values()), 'row')} of {number(len(counts), 'table')}"

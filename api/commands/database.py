"""Commands for the database schema: `flask --app api db upgrade, check`."""

from __future__ import annotations

import click

from api.access import audit
from api.commands.base import Command, Group
from api.service import service
from common.audit import ActionKind, Subject
from common.database import migrate, servers
from common.database.engine import Database
from common.database.migrate import SchemaError
from common.database.servers import Support


class SchemaCommand(Command):
    """A command about the schema, which therefore does not require a current one."""

    needs_schema = False


@click.group(cls=Group)
def database() -> None:
    """Upgrade and check the schema, back up and restore the database."""


def connected() -> Database:
    """Connect without a query timeout: creating an index on a table with millions of rows takes minutes."""
    return Database(service().settings.db_url.get_secret_value(), answers_within_s=None)


@database.command(cls=SchemaCommand)
def upgrade() -> None:
    """Upgrade the schema to this version. Does nothing if it is current.

    Waits while another upgrade is running, and continues one that was interrupted.
    """
    db = connected()
    before = migrate.revision(db)
    migrate.upgrade(db)
    if before != (after := migrate.revision(db)):
        _record(before, after)
    click.echo("The schema is current.")


def _record(before: str | None, after: str | None) -> None:
    """Record the act when the table is there: the statements of a schema commit by themselves on MySQL."""
    schema, (old, new) = Subject(kind="schema", id=after), ({"revision": each} for each in (before, after))
    service().db.transaction(
        lambda session: audit.record(session, ActionKind.SCHEMA_UPGRADE, schema, before=old, after=new)
    )


@database.command(cls=SchemaCommand)
def check() -> None:
    """Check the schema and the version of the server.

    Exit code 1: one of them is wrong.
    """
    db = connected()
    try:
        migrate.check(db)
    except SchemaError as problem:
        raise click.ClickException(str(problem)) from None
    if differences := migrate.differences(db):
        raise click.ClickException("The schema differs from the models:\n" + "\n".join(differences))
    _require_supported(db)
    click.echo("The schema is current.")


def _require_supported(db: Database) -> None:
    version = servers.version_of(db)
    if version is not None and (support := servers.support_of(version)) is not Support.SUPPORTED:
        raise click.ClickException(
            f"The schema is current, but the server's version is {support}: {version}. Supported: {servers.SUPPORTED}."
        )

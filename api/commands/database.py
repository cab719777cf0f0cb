"""flask --app api db upgrade, check"""

from __future__ import annotations

import click

from api.commands.base import Command, Group, Unavailable
from api.service import service
from common.database import migrate
from common.database.engine import Database
from common.database.migrate import SchemaError


class SchemaCommand(Command):
    """It is about the schema, so it needs none."""

    needs_schema = False


@click.group(cls=Group)
def database() -> None:
    """The database's schema."""


def _database() -> Database:
    """An index on a table of millions takes minutes to make."""
    return Database(service().settings.db_url.get_secret_value(), answers_within_s=None)


@database.command(cls=SchemaCommand)
def upgrade() -> None:
    """Bring the schema to this version. Does nothing when it is there.

    It waits while another one is at it, and goes on where one was interrupted.
    """
    try:
        migrate.upgrade(_database())
    except SchemaError as problem:
        raise Unavailable(str(problem)) from None
    click.echo("The schema is current.")


@database.command(cls=SchemaCommand)
def check() -> None:
    """Say whether the schema is this version's; exit 1 when it is not."""
    db = _database()
    try:
        migrate.check(db)
    except SchemaError as problem:
        raise click.ClickException(str(problem)) from None
    if differences := migrate.differences(db):
        raise click.ClickException("The schema differs from the models:\n" + "\n".join(differences))
    click.echo("The schema is current.")

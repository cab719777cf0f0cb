"""What can be done from the command line?  `flask --app api db --help`."""

from __future__ import annotations

import click
from flask.cli import AppGroup

from common import schema, settings
from common.db import Database

database = AppGroup("db", help="The database's schema.")


def _database() -> Database:
    """An index on a table of millions takes minutes to make."""
    return Database(settings.load().db_url.get_secret_value(), answers_within_s=None)


@database.command()
def upgrade() -> None:
    """Bring the schema to this version. Does nothing when it is there."""
    schema.upgrade(_database())
    click.echo("The schema is current.")


@database.command()
def check() -> None:
    """Say whether the schema is this version's; exit 1 when it is not."""
    db = _database()
    try:
        schema.check(db)
    except schema.SchemaError as problem:
        raise click.ClickException(str(problem)) from None
    if differences := schema.differences(db):
        raise click.ClickException("The schema differs from the models:\n" + "\n".join(differences))
    click.echo("The schema is current.")

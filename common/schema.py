"""Is the database's schema the one that this version needs, and how does it get there?"""

from __future__ import annotations

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from common.db import Database
from common.models import Base


class SchemaError(Exception):
    """The schema is not current; the message says what to type."""


def upgrade(db: Database) -> None:
    """Bring the schema to this version; does nothing when it is there."""
    with db.engine.begin() as connection:
        command.upgrade(_config(connection), "head")


def check(db: Database) -> None:
    """Raises SchemaError when the database is not at this version's schema."""
    with db.read_engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    wanted = ScriptDirectory.from_config(_config(None)).get_current_head()
    if current != wanted:
        raise SchemaError(
            f"The database is at schema {current or 'none'}, this version needs {wanted}: "
            "run `flask --app api db upgrade`."
        )


def differences(db: Database) -> list[str]:
    """Return what the models have and the migrated database has not, or the reverse, in Alembic's words."""
    with db.read_engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return [str(difference) for difference in compare_metadata(context, Base.metadata)]


def revise(db: Database, message: str) -> None:
    """Write a new migration from the difference between the models and the database."""
    with db.engine.begin() as connection:
        command.revision(_config(connection), message=message, autogenerate=True)


def _config(connection: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", "common:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config

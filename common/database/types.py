"""Column types that mean the same on MySQL/MariaDB and on SQLite."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import DateTime, Dialect, Enum, String
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeDecorator, TypeEngine


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime to the microsecond; plain DATETIME drops fractions on MySQL and zones everywhere."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name in ("mysql", "mariadb"):
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(DateTime())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        return value.astimezone(UTC).replace(tzinfo=None) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - as above
        return value.replace(tzinfo=UTC) if value else None


def identity(length: int) -> TypeEngine[str]:
    """Return the type of a name that must match exactly."""
    exact = mysql.VARCHAR(length, charset="ascii", collation="ascii_bin")
    return String(length).with_variant(exact, "mysql", "mariadb")


def states(enum: type[StrEnum]) -> Enum:
    """Return the type of a column that holds one of these states, checked by the database."""
    return Enum(
        enum,
        native_enum=False,
        create_constraint=True,
        length=16,
        name=enum.__name__.lower(),
        values_callable=lambda members: [member.value for member in members],
    )


ID = identity(36)
NAME = identity(64)

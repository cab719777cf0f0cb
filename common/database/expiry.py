"""Deletion of rows whose `expires_at` is past, in batches."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from sqlalchemy import bindparam, delete, inspect, select
from sqlalchemy.orm import Session

from common.database.engine import Database
from common.database.models import Base

ROWS, BATCHES = 500, 10  # in one transaction, and in one call


def delete_expired(db: Database, table: type[Base]) -> None:
    """Delete expired rows of a table, a few thousand at most; the next calls delete the rest.

    Safe to call from any number of processes.
    """
    for _ in range(BATCHES):
        if db.transaction(partial(_delete_some, table, db.now())) < ROWS:
            break


def _delete_some(table: type[Base], now: datetime, session: Session) -> int:
    """Lock first, then delete row by row: that needs no dialect's own LIMIT, and leaves out what others have locked."""
    key, is_over = inspect(table).primary_key, table.__table__.c.expires_at <= now
    rows = session.execute(select(*key).where(is_over).limit(ROWS).with_for_update(skip_locked=True)).all()
    if rows:
        is_it = (column == bindparam(f"its_{column.name}") for column in key)
        named = [{f"its_{column.name}": value for column, value in zip(key, row, strict=True)} for row in rows]
        session.connection().execute(delete(table).where(*is_it), named)
    return len(rows)

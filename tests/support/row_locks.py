"""Row locks on MariaDB that a process would keep if it were frozen between two of its statements."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event, select

from common.database.engine import Database
from common.database.models import Base


@contextmanager
def finding_locks(db: Database, db_url: str, *models: type[Base]) -> Iterator[list[str]]:
    """Yield a list of the statements after which a row was locked for writing, in the tables of these models.

    After each statement of `db` another session looks, as if we were frozen just then.
    """
    somebody, found = Database(db_url), []

    def look(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        with somebody.engine.connect() as connection:
            for rows in (select(model.__table__) for model in models):  # whole rows: an index alone may not be locked
                everything = set(connection.execute(rows))
                if everything - set(connection.execute(rows.with_for_update(read=True, skip_locked=True))):
                    found.append(statement)

    for engine in db.engines:
        event.listen(engine, "after_cursor_execute", look)
    yield found
    for engine in db.engines:
        event.remove(engine, "after_cursor_execute", look)
    somebody.dispose()

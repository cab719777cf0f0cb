"""How is a long list read?  Newest first, a page at a time, after the id that the last page ended with."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, Field
from sqlalchemy import Select
from sqlalchemy.orm import Session

from api import rules
from api.routes import Query
from common.models import App, Job, Project

Row = TypeVar("Row", Project, App, Job)


def _checked(value: str) -> str:
    if not rules.ID.fullmatch(value):
        raise ValueError("Use an id from an earlier answer.")
    return value


Id = Annotated[str, AfterValidator(_checked)]


class Page(Query):
    """`cursor` is the `next` of the page before."""

    limit: Annotated[int, Field(ge=1, le=100)] = 50
    cursor: Id | None = None


def read(session: Session, statement: Select[Row], id_column: Any, page: Page) -> tuple[list[Row], str | None]:
    """Return the rows and the cursor of the next page, None at the end. Ids grow with time: no sort, no offset."""
    if page.cursor is not None:
        statement = statement.where(id_column < page.cursor)
    rows = list(session.scalars(statement.order_by(id_column.desc()).limit(page.limit + 1)))
    if len(rows) <= page.limit:
        return rows, None
    return rows[: page.limit], str(rows[page.limit - 1].id)

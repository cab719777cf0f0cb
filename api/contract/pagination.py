"""How is a long list read?  Newest first, a page at a time, after the id that the last page ended with.

Ids grow with time, and the lists that people look at are each one prefix of an index that ends with them: a page is
found at once however deep it lies, with nothing to sort and nothing to skip. What narrows a list beyond that is looked
for indexed the prefix. What is new comes before the first page, so no later page shifts under whoever turns them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, Field
from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session

from api.contract import accounts, validation
from api.contract.accounts import Login
from api.contract.endpoint import BooleanFlag, Query, ResponseBody, WholeNumber
from api.contract.fields import ExistingId
from api.contract.timestamps import Timestamp
from common.database.ids import EPOCH, first_id
from common.database.models import App, Job, Project
from common.states import JobState
from common.workflows import WORKFLOWS

Row = TypeVar("Row", Project, App, Job)
Filters = dict[str, str]  # column: value

INDEX_PREFIXES: dict[
    type, Sequence[tuple[str, ...]]
] = {  # by the index on these columns and the id; the first that fits
    Job: (
        ("app_id", "kind"),
        ("app_id", "state"),
        ("app_id",),
        ("user_id", "state"),
        ("user_id",),
        ("team_id", "kind", "state"),
        ("team_id", "state"),
        ("team_id", "kind"),
        ("team_id",),
        ("state",),
    ),
    App: (("project_id",),),
    Project: (("team_id",),),
}
MAX_TOTAL = 10_000  # a total beyond it is not worth the reading
CLOCK_SKEW = timedelta(
    minutes=5
)  # an id has the time of the host that made it, `created_at` that of the database's host
CREATOR_COLUMN: dict[type, str] = {Project: "created_by", App: "created_by", Job: "user_id"}
NO_VALUE = ""  # what no column holds


def _checked_id(value: str) -> str:
    if not validation.ID.fullmatch(value):
        raise ValueError("Use an id from an earlier answer.")
    return value


def _checked_kind(value: str) -> str:
    if value not in WORKFLOWS:
        raise ValueError(f"There is no such kind. Choose one of: {', '.join(WORKFLOWS)}.")
    return value


Id = Annotated[ExistingId, AfterValidator(_checked_id)]
Kind = Annotated[str, Field(json_schema_extra={"enum": list(WORKFLOWS)}), AfterValidator(_checked_kind)]
TeamName = Annotated[str, Field(pattern=f"^{validation.TEAM.pattern}$")]


class Page(Query):
    """Which part of a list, newest first."""

    limit: Annotated[int, Field(ge=1, le=100, description="How many at most."), WholeNumber] = 50
    cursor: Annotated[Id | None, Field(description="The `next` of the page before.")] = None
    user: Annotated[Login | None, Field(description="Only what the person of this login began.")] = None
    since: Annotated[Timestamp | None, Field(description="Only what was created then or later.")] = None
    total: Annotated[BooleanFlag, Field(description="Count the whole list, too, up to 10,000.")] = False


class JobPage(Page):
    """Which jobs of a list, newest first."""

    state: Annotated[JobState | None, Field(description="Only those in this state.")] = None


class PageBody(ResponseBody):
    """One page. `next` is the cursor of the following one, null on the last.

    `total` is null unless it was asked for. Above 10,000 it stays there, and `total_is_capped` is true.
    """

    next: str | None
    total: int | None
    total_is_capped: bool | None


@dataclass(frozen=True, kw_only=True)
class PageRows(Generic[Row]):
    """The rows of a page, and what a `PageBody` tells besides them."""

    rows: Sequence[Row]
    fields: dict[str, Any]


def filters_of(page: Page, *fields: str) -> Filters:
    """Return those fields that the client has sent, in this order."""
    return {name: value for name in fields if (value := getattr(page, name)) is not None}


def empty_page(page: Page) -> PageRows[Any]:
    """Return the page of an empty list."""
    return PageRows(rows=[], fields=_page_fields(None, 0 if page.total else None))


def read(
    session: Session, table: type[Row], page: Page, filters: Filters, *conditions: ColumnElement[bool]
) -> PageRows[Row]:
    """Return one page of the rows that have these values and meet the rest."""
    if page.user is not None:
        user_id = accounts.find_id(session, page.user)
        if user_id is None:
            return empty_page(page)  # as of somebody who began nothing here: a list does not tell who has an account
        filters = {**filters, CREATOR_COLUMN[table]: user_id}
    if page.since is not None:  # the id ends the reading where nothing conditions can come, the time decides
        conditions = (
            *conditions,
            table.id >= first_id(max(EPOCH, page.since - CLOCK_SKEW)),
            table.created_at >= page.since,
        )
    count = _count(session, table, filters, conditions) if page.total else None
    ids = session.scalars(newest(table, filters, *conditions, below=page.cursor).limit(page.limit + 1)).all()
    following = ids[page.limit - 1] if len(ids) > page.limit else None
    return PageRows(rows=_rows(session, table, ids[: page.limit]), fields=_page_fields(following, count))


def newest(
    table: type[Row], filters: Filters, *conditions: ColumnElement[bool], below: str | None = None
) -> Select[str]:
    """Return the query of the ids of such rows, newest first, below an id.

    Each column of the prefix is *one of two*, and the order is the whole index's: so MariaDB, too, sees that the one
    way without sorting is that prefix of that index. Of `column = ?` it makes a look-up that skips whatever is not
    below the id, or a walk indexed the primary key, or the intersection of two indexes, to be sorted; a column that is
    not of the prefix is hidden from its choice. To SQLite it is all the same.
    """
    prefix = next(some for some in INDEX_PREFIXES[table] if set(some) <= set(filters))
    columns = [getattr(table, name) for name in prefix]
    indexed = [column.in_((filters[name], NO_VALUE)) for name, column in zip(prefix, columns, strict=True)]
    rest = [(getattr(table, name), value) for name, value in filters.items() if name not in prefix]
    others = [func.coalesce(column, NO_VALUE) == value for column, value in rest]
    after = [] if below is None else [table.id < below]
    return (
        select(table.id)
        .where(*indexed, *others, *after, *conditions)
        .order_by(*(column.desc() for column in columns), table.id.desc())
    )


def _rows(session: Session, table: type[Row], ids: Sequence[str]) -> Sequence[Row]:
    return session.scalars(select(table).where(table.id.in_(ids)).order_by(table.id.desc())).all() if ids else []


def _count(session: Session, table: type[Row], filters: Filters, conditions: Sequence[ColumnElement[bool]]) -> int:
    """Count no further than it takes to know that there are conditions."""
    some = newest(table, filters, *conditions).order_by(None).limit(MAX_TOTAL + 1).subquery()
    return session.scalar(select(func.count()).select_from(some)) or 0


def _page_fields(following: str | None, count: int | None) -> dict[str, Any]:
    return {
        "next": following,
        "total": None if count is None else min(count, MAX_TOTAL),
        "total_is_capped": None if count is None else count > MAX_TOTAL,
    }

"""Keyset pagination: lists are read newest first, and each page starts after the last id of the page before.

Ids grow with time, and every list that the API offers is a prefix of an index that ends with the id. So each page costs
the same however deep it is, with no sorting and no skipped rows. Further filters are applied while that part of the
index is scanned. New rows appear before the first page, so later pages do not shift while somebody reads them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import product
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session

from api.contract import accounts, validation
from api.contract.accounts import Login
from api.contract.endpoint import BooleanFlag, Query, ResponseBody, WholeNumber
from api.contract.fields import PRINTABLE_PATTERN, ExistingId
from api.contract.timestamps import Timestamp
from common.database.ids import EPOCH, first_id
from common.database.models import Action, App, Invite, Job, Project, SignupReview, User
from common.states import JobState
from common.workflows import WORKFLOWS

Row = TypeVar("Row", Project, App, Job, SignupReview, Action)
Created = TypeVar("Created", Project, App, Job, SignupReview)
Short = TypeVar("Short", User, Invite)
Filters = Mapping[str, str | tuple[str, ...]]  # column: value, or the values of which it has one

# A team may have most of the apps: MariaDB would rather read all of them.
FORCED: dict[tuple[type, tuple[str, ...]], str] = {(App, ("team_id",)): "FORCE INDEX (ix_apps_team_id_id_claimed_name)"}
# For each table, the columns that precede the id in one of its indexes; the first entry that fits the filters is used.
INDEX_PREFIXES: dict[type, Sequence[tuple[str, ...]]] = {
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
        (),
    ),
    App: (("project_id",), ("team_id",)),
    Project: (("team_id",),),
    SignupReview: (("state",),),
    Action: (("object_id",), ("object_name",), ("actor",), ("team_id",), ("kind",), ()),
}
MAX_TOTAL = 10_000  # counting further would cost more than the number is worth
CLOCK_SKEW = timedelta(minutes=5)  # an id has the time of the API's host, `created_at` the time of the database's host
CREATOR_COLUMN: dict[type, str] = {Project: "created_by", App: "created_by", Job: "user_id", SignupReview: "user_id"}
NO_VALUE = ""  # a value that no column holds


def _checked_id(value: str) -> str:
    if not validation.ID.fullmatch(value):
        raise ValueError("Use an ID from an earlier response.")
    return value


def _checked_kind(value: str) -> str:
    if value not in WORKFLOWS:
        raise ValueError(f"This kind does not exist. Choose one of: {', '.join(WORKFLOWS)}.")
    return value


def _split_states(value: Any) -> Any:
    """Read `queued,running`. Raises ValueError for what is no state."""
    if not isinstance(value, str):
        return value
    words = value.split(",")
    if not set(words) <= set(JobState):
        raise ValueError(f"Use one or more of these states, separated by commas: {', '.join(JobState)}.")
    return tuple(map(JobState, dict.fromkeys(words)))


_STATE = f"(?:{'|'.join(JobState)})"
States = Annotated[
    tuple[JobState, ...] | None,
    BeforeValidator(_split_states),
    WithJsonSchema({"type": "string", "pattern": f"^{_STATE}(?:,{_STATE})*$"}),
]


def _checked_text(value: str) -> str:
    if not validation.PRINTABLE.fullmatch(value):
        raise ValueError("Use printable characters, with no space at either end.")
    return value


Id = Annotated[ExistingId, AfterValidator(_checked_id)]
Kind = Annotated[str, Field(json_schema_extra={"enum": list(WORKFLOWS)}), AfterValidator(_checked_kind)]
NamePart = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$", description="Only those with this in their name.")]
SearchText = Annotated[
    str, Field(max_length=100, json_schema_extra={"pattern": PRINTABLE_PATTERN}), AfterValidator(_checked_text)
]
TeamName = Annotated[str, Field(pattern=f"^{validation.TEAM.pattern}$")]


class Slice(Query):
    """The page of a short list to return, newest first."""

    limit: Annotated[int, Field(ge=1, le=100, description="Maximum number of entries."), WholeNumber] = 50
    cursor: Annotated[Id | None, Field(description="The `next` of the previous page.")] = None


class SliceBody(ResponseBody):
    """One page of a short list. `next` is the cursor of the next page, null on the last one."""

    next: str | None


class Page(Slice):
    """The page of a list to return, newest first."""

    user: Annotated[Login | None, Field(description="Only entries created by the user with this login.")] = None
    since: Annotated[Timestamp | None, Field(description="Only entries created at or after this time.")] = None
    total: Annotated[BooleanFlag, Field(description="Also count the whole list, up to 10,000.")] = False


class JobPage(Page):
    """The page of a list of jobs to return, newest first."""

    state: Annotated[
        States,
        Field(description="Only jobs in this state, or in one of several: `queued,running`."),
    ] = None


class PageBody(ResponseBody):
    """One page of a list. `next` is the cursor of the next page, null on the last one.

    `total` is null unless it was requested. It is at most 10,000; `total_is_capped` is true if there are more.
    """

    next: str | None
    total: int | None
    total_is_capped: bool | None


@dataclass(frozen=True, kw_only=True)
class PageRows(Generic[Row]):
    """The rows of a page, and the other fields of its `PageBody`."""

    rows: Sequence[Row]
    fields: dict[str, Any]


def filters_of(page: Page, *fields: str) -> dict[str, str | tuple[str, ...]]:
    """Return the fields that the client has sent, in this order."""
    return {name: value for name in fields if (value := getattr(page, name)) is not None}


def empty_page(page: Page) -> PageRows[Any]:
    """Return the page of an empty list."""
    return PageRows(rows=[], fields=_page_fields(None, 0 if page.total else None))


def read(
    session: Session, table: type[Created], page: Page, filters: Filters, *conditions: ColumnElement[bool]
) -> PageRows[Created]:
    """Return one page of the rows that match the filters and the conditions."""
    if page.user is not None:
        user_id = accounts.find_id(session, page.user)
        if user_id is None:
            return empty_page(page)  # like a user without entries: a list must not reveal who has an account
        filters = {**filters, CREATOR_COLUMN[table]: user_id}
    if page.since is not None:  # the id bounds the scan, the time decides
        conditions = (
            *conditions,
            table.id >= first_id(max(EPOCH, page.since - CLOCK_SKEW)),
            table.created_at >= page.since,
        )
    return select_page(
        session, table, filters, *conditions, cursor=page.cursor, limit=page.limit, is_counted=page.total
    )


def select_page(
    session: Session,
    table: type[Row],
    filters: Filters,
    *conditions: ColumnElement[bool],
    cursor: str | None,
    limit: int,
    is_counted: bool,
) -> PageRows[Row]:
    """Return the matching rows below the cursor, newest first, at most `limit`."""
    stretches = list(_stretches(table, filters))
    count = sum(_count(session, table, each, conditions) for each in stretches) if is_counted else None
    found = [
        row_id
        for each in stretches
        for row_id in session.scalars(newest(table, each, *conditions, below=cursor).limit(limit + 1))
    ]
    ids = sorted(found, reverse=True)[: limit + 1]
    following = ids[limit - 1] if len(ids) > limit else None
    return PageRows(rows=_rows(session, table, ids[:limit]), fields=_page_fields(following, count))


def _stretches(table: type[Row], filters: Filters) -> Iterator[Filters]:
    """Yield the filters with one value for each column of the index: each is one stretch of it, in the list's order."""
    prefix = _prefix(table, filters)
    for chosen in product(*(_values(filters[name]) for name in prefix)):
        yield {**filters, **dict(zip(prefix, chosen, strict=True))}


def _values(wanted: str | tuple[str, ...]) -> tuple[str, ...]:
    return wanted if isinstance(wanted, tuple) else (wanted,)


def _prefix(table: type[Row], filters: Filters) -> tuple[str, ...]:
    return next(some for some in INDEX_PREFIXES[table] if set(some) <= set(filters))


def slice_of(
    session: Session, table: type[Short], wanted: Slice, *conditions: ColumnElement[bool]
) -> tuple[Sequence[Short], str | None]:
    """Return a page of a table that never has many rows, and the cursor of the next page."""
    after = [] if wanted.cursor is None else [table.id < wanted.cursor]
    statement = select(table).where(*conditions, *after).order_by(table.id.desc()).limit(wanted.limit + 1)
    rows = session.scalars(statement).all()
    is_last = len(rows) <= wanted.limit
    return rows[: wanted.limit], None if is_last else rows[wanted.limit - 1].id


def newest(
    table: type[Row], filters: Filters, *conditions: ColumnElement[bool], below: str | None = None
) -> Select[str]:
    """Return the query for the ids of matching rows below an id, newest first.

    The conditions are written so that MariaDB chooses the right index. Each column of the prefix is compared with *two*
    values, and the order names all columns of the index, so that a scan of this index is the only plan without sorting.
    With `column = ?`, MariaDB may search the index and then skip rows that are not below the id, scan the primary key,
    or intersect two indexes and sort the result. Columns outside the prefix are wrapped in a function, so that no
    other index fits them. SQLite chooses the same plan either way.
    """
    prefix = _prefix(table, filters)
    columns = [getattr(table, name) for name in prefix]
    indexed = [column.in_((filters[name], NO_VALUE)) for name, column in zip(prefix, columns, strict=True)]
    rest = [(getattr(table, name), value) for name, value in filters.items() if name not in prefix]
    others = [func.coalesce(column, NO_VALUE).in_(_values(value)) for column, value in rest]
    after = [] if below is None else [table.id < below]
    found = select(table.id).where(*indexed, *others, *after, *conditions)
    if hint := FORCED.get((table, prefix)):
        for dialect in ("mysql", "mariadb"):
            found = found.with_hint(table, hint, dialect)
    return found.order_by(*(column.desc() for column in columns), table.id.desc())


def _rows(session: Session, table: type[Row], ids: Sequence[str]) -> Sequence[Row]:
    return session.scalars(select(table).where(table.id.in_(ids)).order_by(table.id.desc())).all() if ids else []


def _count(session: Session, table: type[Row], filters: Filters, conditions: Sequence[ColumnElement[bool]]) -> int:
    """Return the number of rows, counting at most one beyond MAX_TOTAL."""
    some = newest(table, filters, *conditions).order_by(None).limit(MAX_TOTAL + 1).subquery()
    return session.scalar(select(func.count()).select_from(some)) or 0


def _page_fields(following: str | None, count: int | None) -> dict[str, Any]:
    return {
        "next": following,
        "total": None if count is None else min(count, MAX_TOTAL),
        "total_is_capped": None if count is None else count > MAX_TOTAL,
    }

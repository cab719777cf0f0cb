"""The audit: who did what, when and from where; as pages, and as CSV for spreadsheets."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, ClassVar
from urllib.parse import urlencode

from flask import Blueprint, Response, request
from pydantic import AfterValidator, Field
from sqlalchemy import ColumnElement
from sqlalchemy.orm import Session

from api.contract import pagination, validation
from api.contract.endpoint import Answer, BooleanFlag, Policy, Query, ResponseBody, WholeNumber
from api.contract.pagination import Id, PageBody, PageRows, TeamName
from api.contract.timestamps import LATEST, Timestamp
from api.presentation import links
from api.presentation.printable import cell
from api.service import service
from api.serving.routing import route
from common.audit import ActionKind, Channel
from common.database.ids import EPOCH, first_id
from common.database.models import Action

blueprint = Blueprint("audit", __name__)

NAME = r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$"
EXPORTED = 1_000  # at most, in one response
FIELDS = (
    "action_id", "at", "action", "actor", "channel", "address", "request_id", "object_kind", "object_id", "object_name",
    "team", "job_id", "reason", "before", "after",
)  # fmt: skip


def _checked_action(value: str) -> str:
    if value not in set(ActionKind):
        raise ValueError(f"There is no such act. Choose one of: {', '.join(ActionKind)}.")
    return value


KnownAction = Annotated[
    str, Field(json_schema_extra={"enum": [each.value for each in ActionKind]}), AfterValidator(_checked_action)
]


class ActionFilter(Query):
    """Which entries of the audit to return, newest first. An entry must match every filter that is set."""

    cursor: Annotated[Id | None, Field(description="The `next` of the previous page.")] = None
    actor: Annotated[
        str | None,
        Field(pattern=NAME, description="Only acts of this login, or of this account of an operator's machine."),
    ] = None
    action: Annotated[KnownAction | None, Field(description="Only acts of this kind.")] = None
    object: Annotated[
        str | None, Field(pattern=NAME, description="Only acts about the object with this ID or name.")
    ] = None
    team: Annotated[TeamName | None, Field(description="Only acts about objects of this team.")] = None
    since: Annotated[Timestamp | None, Field(description="Only acts at or after this time.")] = None
    until: Annotated[Timestamp | None, Field(description="Only acts before this time.")] = None


class ActionPage(ActionFilter):
    """The page of the audit to return."""

    limit: Annotated[int, Field(ge=1, le=100, description="Maximum number of entries."), WholeNumber] = 50
    total: Annotated[BooleanFlag, Field(description="Also count the whole list, up to 10,000.")] = False


class ActionExport(ActionFilter):
    """The part of the audit to return."""

    limit: Annotated[int, Field(ge=1, le=EXPORTED, description="Maximum number of lines."), WholeNumber] = EXPORTED


class ActionShown(ResponseBody):
    """An act. `actor` is a login or, for the channel `command`, an account of the operating system.

    `request_id` is that of the request in the log; acts of one run of a command share one. `team` is the object's.
    `job_id` is the job that the act started or changed. `before` and `after` are what it changed, if that says more.
    """

    action_id: str
    at: datetime
    action: str
    actor: str | None
    channel: Channel
    address: str | None
    request_id: str | None
    object_kind: str
    object_id: str | None
    object_name: str | None
    team: str | None
    job_id: str | None
    reason: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class Actions(PageBody):
    """A page of the audit."""

    actions: list[ActionShown]


class ActionsAsCsv(ResponseBody):
    """Lines of comma-separated values with a header line. A cell that a spreadsheet would run begins with `'`."""

    media_type: ClassVar[str] = "text/csv"


@route(blueprint, "GET", "/audit", policy=Policy.ADMIN, query=ActionPage, answers={200: Actions})
def list_actions(query: ActionPage) -> Answer:
    """List what people, commands and workers did, newest first.

    Every act is recorded in the transaction that does it. Refused log-ins are recorded, too, up to 60 a minute for each
    process of the API. Entries are deleted for their age only, and that is an entry itself.
    """

    def work(session: Session) -> Actions:
        found = _find(session, query, is_counted=query.total)
        return Actions(actions=[ActionShown(**_fields(row)) for row in found.rows], **found.fields)

    return Answer(body=service().db.read(work))


@route(blueprint, "GET", "/audit.csv", policy=Policy.ADMIN, query=ActionExport, answers={200: ActionsAsCsv})
def export_actions(query: ActionExport) -> Response:
    """Export the audit as CSV, newest first.

    The response has up to 1,000 lines. If there are more, the header `Link` has the URL of the next part.
    """

    def work(session: Session) -> tuple[list[dict[str, Any]], str | None]:
        found = _find(session, query)
        return [_fields(row) for row in found.rows], found.fields["next"]

    rows, following = service().db.read(work)
    response = Response(_as_csv(rows), content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = 'attachment; filename="audit.csv"'
    if following is not None:
        response.headers["Link"] = f'<{_next_part(following)}>; rel="next"'
    return response


def _find(session: Session, query: ActionPage | ActionExport, *, is_counted: bool = False) -> PageRows[Action]:
    return pagination.select_page(
        session,
        Action,
        _filters(query),
        *_conditions(query),
        cursor=query.cursor,
        limit=query.limit,
        is_counted=is_counted,
    )


def _next_part(following: str) -> str:
    return links.of_call(f"/audit.csv?{urlencode({**request.args, 'cursor': following})}")


def _filters(query: ActionFilter) -> pagination.Filters:
    """Return the columns that are compared; ids and names of objects are columns of their own."""
    of_object = "object_id" if query.object is not None and _is_id(query.object) else "object_name"
    columns = {of_object: query.object, "actor": query.actor, "team_id": query.team, "kind": query.action}
    return {name: str(value) for name, value in columns.items() if value is not None}


def _is_id(text: str) -> bool:
    return validation.ID.fullmatch(text) is not None


def _conditions(query: ActionFilter) -> list[ColumnElement[bool]]:
    """Return what the times mean: the id bounds the scan, the time decides."""
    conditions: list[ColumnElement[bool]] = []
    if query.since is not None:
        conditions += [Action.id >= first_id(max(EPOCH, query.since - pagination.CLOCK_SKEW)), Action.at >= query.since]
    if query.until is not None:
        latest = min(query.until, LATEST - pagination.CLOCK_SKEW) + pagination.CLOCK_SKEW
        conditions += [Action.id < first_id(latest), Action.at < query.until]
    return conditions


def _fields(row: Action) -> dict[str, Any]:
    columns = {name: getattr(row, name) for name in FIELDS if hasattr(row, name)}
    return {**columns, "action_id": row.id, "action": row.kind, "team": row.team_id}


def _as_csv(rows: Iterable[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, FIELDS, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows({name: cell(_plain(row[name])) for name in FIELDS} for row in rows)
    return text.getvalue()


def _plain(value: object) -> object:
    match value:
        case dict():
            return json.dumps(value, ensure_ascii=False, sort_keys=True)
        case datetime():
            return value.isoformat()
    return value

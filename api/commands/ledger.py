"""Command for the ledger: `flask --app api ledger export`."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

import click
from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from api.commands import options
from api.commands.base import Group
from api.commands.text import format_time
from api.presentation import links
from api.presentation.printable import cell
from api.service import service
from common.database.models import App, Job, Resource, User
from common.states import Provenance

ROWS = 1_000  # in memory at once
FIELDS = (
    "id", "team", "app_id", "app", "user", "upstream", "kind", "name", "outside_id", "url", "provenance",
    "job_id", "step", "attempt", "created_at", "updated_at",
)  # fmt: skip


@click.group(cls=Group)
def ledger() -> None:
    """The objects that jobs have created or found on the upstreams."""


@ledger.command("export")
@click.option("--team", help="Only objects of this team.")
@click.option("--app", help="Only objects of this app (name or ID).")
@click.option(
    "--provenance",
    type=click.Choice([each.value for each in Provenance]),
    multiple=True,
    help="Only objects with this provenance; may be repeated.  [default: all]",
)
@click.option("--csv", "is_csv", is_flag=True, help="Print CSV with a header line instead of one JSON object per line.")
def export(*, team: str | None, app: str | None, provenance: tuple[str, ...], is_csv: bool) -> None:
    """Print the objects on the upstreams, one per line, oldest first.

    \b
    app, user   the app it belongs to, or the user whose account it is
    name        its name on the upstream, known before it exists; outside_id and url once it exists
    provenance  intended: it may or may not exist · created: by Slipway, a removal deletes it
                adopted: it existed before, a removal keeps it · gone
    job_id      the job that created or found it, with `step` and `attempt`
    """
    wanted: list[ColumnElement[bool]] = [Resource.provenance.in_(provenance)] if provenance else []
    if team is not None:
        wanted.append(Job.team_id == options.known_team(team))
    if app is not None:
        wanted.append(Resource.subject_id == service().db.read(lambda session: options.app_id(session, app)))
    rows = _rows(wanted)
    if is_csv:
        writer = csv.DictWriter(sys.stdout, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: cell(value) for name, value in row.items()} for row in rows)
    else:
        for row in rows:
            click.echo(json.dumps(row))


def _rows(wanted: list[ColumnElement[bool]]) -> Iterator[dict[str, Any]]:
    last_id = ""
    while page := service().db.read(partial(_page, wanted, last_id)):
        yield from page
        last_id = page[-1]["id"]


def _page(wanted: list[ColumnElement[bool]], after: str, session: Session) -> list[dict[str, Any]]:
    found = session.execute(
        select(Resource, Job.team_id, App.name, User.login)
        .join(Job, Job.id == Resource.job_id)
        .outerjoin(App, App.id == Resource.subject_id)
        .outerjoin(User, User.id == Resource.subject_id)
        .where(Resource.id > after, *wanted)
        .order_by(Resource.id)
        .limit(ROWS)
    )
    return [_row(*each) for each in found]


def _row(row: Resource, team: str, app: str | None, user: str | None) -> dict[str, Any]:
    return {
        "id": row.id,
        "team": team,
        "app_id": row.subject_id if app is not None else None,
        "app": app,
        "user": user,
        "upstream": row.upstream,
        "kind": row.kind,
        "name": row.ref,
        "outside_id": row.outside_id,
        "url": links.external(row.url, service().settings),
        "provenance": row.provenance.value,
        "job_id": row.job_id,
        "step": row.step,
        "attempt": row.attempt,
        "created_at": format_time(row.created_at),
        "updated_at": format_time(row.updated_at),
    }

"""Command that lists the audit."""

from __future__ import annotations

from datetime import datetime
from itertools import islice

import click

from slipway.commands.base import Command
from slipway.commands.context import CommandContext
from slipway.commands.options import Since, limit, pass_context
from slipway.errors import Document
from slipway.text import columns, moment, plain


@click.command(cls=Command)
@click.option("--actor", help="Only what this person did.")
@click.option("--action", help="Only acts of this kind: job.cancel, user.log_in, …")
@click.option("--object", "about", help="Only acts about this: its name or its id.")
@click.option("--team", help="Only acts about things of this team.")
@click.option("--since", type=Since(), help="Only acts since a time, or since 90m, 12h, 7d ago.")
@click.option("--until", type=Since(), help="Only acts before a time, or before 90m, 12h, 7d ago.")
@limit
@pass_context
def audit(
    context: CommandContext,
    /,
    *,
    about: str | None,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    **which: str | None,
) -> None:
    """List who did what, newest first.

    For administrators.
    """
    found = context.client.list_actions(object=about, since=since, until=until, limit=min(limit, 100), **which)
    shown = list(islice(found, limit))
    context.output.show(shown, columns([_row(each) for each in shown], nothing="No act matches."))


def _row(each: Document) -> tuple[object, ...]:
    about = each["object_name"] or each["object_id"] or each["object_kind"]
    origin = " ".join(filter(None, (each["channel"], each["address"])))
    return moment(each["at"]), each["actor"] or "-", origin, each["action"], plain(about), plain(each["reason"] or "")

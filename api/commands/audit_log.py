"""Command for the audit: `flask --app api audit prune`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import click

from api.access import audit as acts
from api.commands.base import Group, as_json, confirm, dry_run, print_note, print_result, yes
from api.commands.options import DurationType
from api.commands.text import format_time, number
from api.service import service
from common import audit as trail

COUNTED = 1_000_000


@click.group(cls=Group)
def audit() -> None:
    """The audit: who did what. Administrators read it with GET /audit."""


@audit.command("prune")
@click.option(
    "--older-than",
    "age",
    type=DurationType(timedelta(days=1)),
    required=True,
    help="Delete entries of this age, such as 365d.",
)
@dry_run
@yes
@as_json
def prune(*, age: timedelta, is_dry: bool, is_confirmed: bool, is_json: bool) -> None:
    """Delete old entries of the audit, in small batches.

    The deletion is an entry itself. If AUDIT_RETENTION_DAYS is set, workers do the same automatically.
    """
    before = service().db.now() - age
    if is_dry:
        deleted = service().db.read(lambda session: trail.count_before(session, before, at_most=COUNTED))
    else:
        confirm(f"Delete the entries before {format_time(before)}?", is_confirmed=is_confirmed)
        deleted = _delete(trail.prune(service().db, before=before, origin=acts.origin()))
    document = {"before": format_time(before), "dry_run": is_dry, "deleted": deleted}
    verb = "Would delete" if is_dry else "Deleted"
    print_result(is_json, document, f"{verb} {number(deleted, 'entry', 'entries')}.")


def _delete(batches: Iterator[int]) -> int:
    deleted = 0
    try:
        for some in batches:
            deleted += some
    except KeyboardInterrupt:
        print_note(f"Deleted {number(deleted, 'entry', 'entries')}. The next run continues.")
        raise
    return deleted

"""Command that deletes old jobs: `flask --app api jobs prune`."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

import click

from api.access import audit
from api.commands.base import Command, as_json, confirm, dry_run, print_note, print_result, yes
from api.commands.options import DurationType
from api.commands.text import format_duration, format_time, number
from api.service import service
from common.jobs import retention
from common.jobs.retention import Swept

PROGRESS_EVERY_S = 2.0


@dataclass
class PruneCount:
    """The number of jobs deleted and kept so far."""

    gone: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    began_s: float = field(default_factory=time.monotonic)

    def add(self, swept: Swept) -> None:
        self.gone += swept.gone
        self.kept += swept.kept
        self.rows += swept.rows

    def summary(self, verb: str) -> str:
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in self.gone.most_common())
        took = format_duration(timedelta(seconds=time.monotonic() - self.began_s))
        rows = f", {number(self.rows, 'row')} in total" if self.rows else ""
        listed = f" ({kinds}{rows})" if kinds else ""
        return f"{verb} {number(self.gone.total(), 'job')}{listed}, kept {self.kept.total():,}, in {took}."


@click.command("prune", cls=Command)
@click.option(
    "--older-than",
    "age",
    type=DurationType(timedelta(days=1)),
    required=True,
    help="Delete jobs that ended this long ago, such as 90d.",
)
@dry_run
@yes
@as_json
def prune(*, age: timedelta, is_dry: bool, is_confirmed: bool, is_json: bool) -> None:
    """Delete old jobs with their steps, attempts, events and logs.

    Jobs that are still needed are kept: those that the ledger refers to, the newest job of each app, deployments that a
    rollback may return to, sign-ups that did not succeed, and the off-boarding of each person who is gone. Jobs are
    deleted in small batches with pauses, so the command can run during normal operation. Ctrl-C stops it; the next run
    continues.

    If RETENTION_DAYS is set, workers do the same automatically.
    """
    before = service().db.now() - age
    if not is_dry:
        confirm(f"Delete the jobs that ended before {format_time(before)}?", is_confirmed=is_confirmed)
    verb, count = ("Would delete" if is_dry else "Deleted"), PruneCount()
    try:
        swept = retention.sweep(service().db, service().settings, before=before, is_dry=is_dry, origin=audit.origin())
        _sweep(count, swept, verb)
    except KeyboardInterrupt:
        print_note(f"{count.summary(verb)} The next run continues.")
        raise
    document = {
        "before": format_time(before),
        "dry_run": is_dry,
        "gone": count.gone,
        "kept": count.kept,
        "rows": count.rows,
    }
    print_result(is_json, document, count.summary(verb))


def _sweep(count: PruneCount, sweep: Iterator[Swept], verb: str) -> None:
    reported_s = began_s = time.monotonic()
    for swept in sweep:
        count.add(swept)
        if (
            swept.rows
        ):  # pause as long as the batch took: SQLite allows one writer at a time, and others must get their turn
            time.sleep(time.monotonic() - began_s)
        began_s = time.monotonic()
        if sys.stderr.isatty() and began_s - reported_s > PROGRESS_EVERY_S:
            reported_s = began_s
            print_note(count.summary(verb))

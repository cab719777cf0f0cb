"""flask --app api jobs prune"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

import click

from api.commands.base import Command, as_json, dry_run, make_sure, note, say, yes
from api.commands.options import Span
from api.commands.text import moment, number, span
from api.service import service
from common.jobs import retention
from common.jobs.retention import Swept

TOLD_EVERY_S = 2.0


@dataclass
class PruneCount:
    """What has become of all jobs so far."""

    gone: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    began_s: float = field(default_factory=time.monotonic)

    def add(self, swept: Swept) -> None:
        self.gone += swept.gone
        self.kept += swept.kept
        self.rows += swept.rows

    def told(self, verb: str) -> str:
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in self.gone.most_common())
        took = span(timedelta(seconds=time.monotonic() - self.began_s))
        rows = f", {number(self.rows, 'row')} in all" if self.rows else ""
        listed = f" ({kinds}{rows})" if kinds else ""
        return f"{verb} {number(self.gone.total(), 'job')}{listed}, kept {self.kept.total():,}, in {took}."


@click.command("prune", cls=Command)
@click.option(
    "--older-than", "age", type=Span(timedelta(days=1)), required=True, help="Those that ended so long ago: 90d."
)
@dry_run
@yes
@as_json
def prune(*, age: timedelta, is_dry: bool, is_sure: bool, is_json: bool) -> None:
    """Delete old jobs with all that is known of them.

    What is still needed stays: a job that the ledger names, the newest one of each app, the deployments that a rollback
    may go back to, a sign-up that did not succeed. Some go at a time, and between them the database has a rest, so it
    can run beside everything else. Ctrl-C stops it; what is left goes the next time.

    Workers do the same by themselves when RETENTION_DAYS is set.
    """
    before = service().db.now() - age
    if not is_dry:
        make_sure(f"Delete the jobs that ended before {moment(before)}?", is_sure=is_sure)
    verb, tally = ("Would delete" if is_dry else "Deleted"), PruneCount()
    try:
        _sweep(tally, retention.sweep(service().db, service().settings, before=before, is_dry=is_dry), verb)
    except KeyboardInterrupt:
        note(f"{tally.told(verb)} The next run goes on.")
        raise
    document = {"before": moment(before), "dry_run": is_dry, "gone": tally.gone, "kept": tally.kept, "rows": tally.rows}
    say(is_json, document, tally.told(verb))


def _sweep(tally: PruneCount, sweep: Iterator[Swept], verb: str) -> None:
    told_s = began_s = time.monotonic()
    for swept in sweep:
        tally.add(swept)
        if swept.rows:  # as long a rest as it took: SQLite has one writer at a time, and others want to write, too
            time.sleep(time.monotonic() - began_s)
        began_s = time.monotonic()
        if sys.stderr.isatty() and began_s - told_s > TOLD_EVERY_S:
            told_s = began_s
            note(tally.told(verb))

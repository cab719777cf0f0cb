"""`slipway status`: the state of the installation, for administrators."""

from __future__ import annotations

from collections.abc import Iterator

import click

from slipway.commands.base import Command
from slipway.commands.context import CommandContext
from slipway.commands.options import pass_context
from slipway.errors import Document
from slipway.text import columns, moment

SOMETHING_WRONG = 1


@click.command(cls=Command)
@pass_context
def status(context: CommandContext) -> None:
    """Show whether anything is wrong, and fail if so.

    For administrators: upstreams, workers, what waits, failures of the last hour, notifications. Exit code 0 means that
    all is well, 1 that something is wrong.
    """
    shown = context.client.get_status()
    context.output.show(shown, "\n".join(_lines(shown)))
    if not shown["is_well"]:
        click.get_current_context().exit(SOMETHING_WRONG)


def _lines(shown: Document) -> Iterator[str]:
    yield "All is well." if shown["is_well"] else "\n".join(f"✗ {problem}" for problem in shown["problems"])
    yield "\nUpstreams\n" + columns([_upstream(each) for each in shown["upstreams"]])
    yield "\nWorkers\n" + columns([_worker(each) for each in shown["workers"]], nothing="None.")
    queues = [(each["upstream"], f"{each['due']} due", f"oldest {each['oldest_s']:.0f} s") for each in shown["queues"]]
    yield "\nDue, and not started\n" + columns(queues, nothing="Nothing.")
    yield "\nFailed in the last hour\n" + columns([_failure(each) for each in shown["failures"]])
    if shown["targets"]:
        yield "\nNotifications\n" + columns([_target(each) for each in shown["targets"]])
    if shown["checkup"]:
        checkup = shown["checkup"]
        yield f"\nLast check-up: {moment(checkup['at'])}, {checkup['failed']} wrong."


def _upstream(each: Document) -> tuple[object, ...]:
    since = f"since {moment(each['since'])}" if each["since"] else ""
    return each["name"], each["state"], f"{each['at_work']} at work", f"{each['parked']} waiting", since, each["reason"]


def _worker(each: Document) -> tuple[object, ...]:
    state = "running" if each["is_running"] else f"gone since {moment(each['seen_at'])}"
    return (
        each["name"],
        state,
        f"{each['at_work']} of {each['concurrency']} at work",
        f"since {moment(each['started_at'])}",
    )


def _failure(each: Document) -> tuple[object, ...]:
    about = each["app"] or each["user"] or ""
    return moment(each["at"]), each["kind"], about, each["team"], each["job_id"], each["step"], each["reason"]


def _target(each: Document) -> tuple[object, ...]:
    state = f"not accepted since {moment(each['failing_since'])}" if each["failures"] else "accepted"
    return each["host"], f"{each['waiting']} waiting", state, each["reason"]

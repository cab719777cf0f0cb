"""Commands about upstreams: list, pause, resume, check."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import click

from slipway.commands.base import Group
from slipway.commands.context import CommandContext
from slipway.commands.options import PathPart, awaited, pass_context
from slipway.errors import Document
from slipway.text import columns, moment

SIGNS = {"well": "✓", "wrong": "✗", "untold": "–"}  # the signs and the states of the doctor

upstream = click.argument("name", metavar="UPSTREAM", type=PathPart())


@click.group(cls=Group)
def upstreams() -> None:
    """List, pause, resume and check upstreams.

    For administrators. UPSTREAM is gitlab, jenkins, argocd or elasticsearch.
    """


@upstreams.command("list")
@pass_context
def list_all(context: CommandContext) -> None:
    """List the upstreams.

    Whether each is available, how many steps run there, and how many wait for it.
    """
    shown = context.client.list_upstreams()
    context.output.show(shown, columns([_row(each) for each in shown["upstreams"]]) + _last_check_up(shown))


@upstreams.command("pause")
@upstream
@click.option("--reason", required=True, help="Why; shown to everybody whose jobs wait for it.")
@pass_context
def pause(context: CommandContext, name: str, reason: str) -> None:
    """Pause an upstream, for example for its maintenance.

    Running steps finish; further steps wait, and use no attempt, until it is resumed. Sign-ups wait for a day at most:
    then their passwords are deleted.
    """
    _show(context, context.client.pause_upstream(name, reason=reason))


@upstreams.command("resume")
@upstream
@pass_context
def resume(context: CommandContext, name: str) -> None:
    """End a pause, or a hold because the upstream refused Slipway.

    Steps start slowly: a few at first, then twice as many every few seconds.
    """
    _show(context, context.client.resume_upstream(name))


@upstreams.command("check")
@awaited
@pass_context
def check(context: CommandContext, is_awaited: bool) -> None:
    """Check the settings and every upstream, on a worker.

    The check only reads, and says how to correct what is wrong. Paused upstreams are checked, too.
    """
    job = context.finish(context.client.check_upstreams(), "Check-up of every upstream", is_awaited=is_awaited)
    if job is not None:
        context.output.show(job, "\n".join(_report(job["result"])))


def _show(context: CommandContext, shown: Document) -> None:
    context.output.show(shown, columns([_row(shown)]))


def _row(shown: Document) -> Sequence[object]:
    at_work, waiting = f"{shown['at_work']} of {shown['at_once']} at work", f"{shown['parked']} waiting"
    return shown["name"], shown["state"], at_work, waiting, _cause(shown)


def _cause(shown: Document) -> str:
    """Return who or what caused its state, since when, and the remedy; empty when it was always open."""
    by = f"by {shown['paused_by']}" if shown["paused_by"] else ""
    since = f"since {moment(shown['since'])}" if shown["since"] else ""
    head = " ".join(filter(None, (by, since)))
    remedy = f" → {shown['remedy']}" if shown.get("remedy") else ""
    return ": ".join(filter(None, (head, shown["reason"]))) + remedy


def _last_check_up(shown: Document) -> str:
    if shown["checkup"] is None:
        return ""
    checks = [*shown["others"], *(check for each in shown["upstreams"] for check in each["checks"])]
    wrong = sum(check["state"] == "wrong" for check in checks)
    found = f"{wrong} of {len(checks)} wrong" if wrong else "nothing wrong"
    details = f"slipway jobs show {shown['checkup']} --json"
    return f"\nLast check-up: {moment(shown['checked_at'])}, {found}. Details: {details}"


def _report(result: Document) -> Iterator[str]:
    for group, checks in groupby(result["checks"], key=lambda each: each["group"]):
        yield str(group)
        for each in checks:
            yield f"  {SIGNS.get(each['state'], '?')} {each['check']}: {each['said']}"
            if each["remedy"]:
                yield f"      → {each['remedy']}"
    yield "All checks passed." if result["is_well"] else "Correct what is marked ✗, then check again."

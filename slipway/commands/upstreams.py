"""slipway upstreams list, pause, resume, check"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import click

from slipway.commands.base import Group
from slipway.commands.context import Desk
from slipway.commands.options import PathPart, awaited, pass_desk
from slipway.errors import Document
from slipway.text import columns, moment

SIGNS = {"well": "✓", "wrong": "✗", "untold": "–"}  # as the doctor has them

upstream = click.argument("name", metavar="UPSTREAM", type=PathPart())


@click.group(cls=Group)
def upstreams() -> None:
    """See whether upstreams can be worked with, pause them, check them.

    For administrators. UPSTREAM is gitlab, jenkins, argocd or elasticsearch.
    """


@upstreams.command("list")
@pass_desk
def list_all(desk: Desk) -> None:
    """List the upstreams.

    Whether each can be worked with, how many steps are at work there, and how many wait until they may go.
    """
    shown = desk.client.list_upstreams()
    desk.screen.show(shown, columns([_row(each) for each in shown["upstreams"]]) + _last_check_up(shown))


@upstreams.command("pause")
@upstream
@click.option("--reason", required=True, help="Why; everybody whose jobs wait for it is shown that.")
@pass_desk
def pause(desk: Desk, name: str, reason: str) -> None:
    """Keep an upstream free, for maintenance say.

    What is at work there ends; further steps wait, and use no attempt, until it is resumed. Sign-ups wait for a day:
    then their passwords are deleted.
    """
    _show(desk, desk.client.pause_upstream(name, reason=reason))


@upstreams.command("resume")
@upstream
@pass_desk
def resume(desk: Desk, name: str) -> None:
    """End a pause.

    Few steps go at first, then twice as many every few seconds.
    """
    _show(desk, desk.client.resume_upstream(name))


@upstreams.command("check")
@awaited
@pass_desk
def check(desk: Desk, is_awaited: bool) -> None:
    """Have a worker check the settings and every upstream.

    It only reads, and says what to do about what is wrong. Upstreams that are paused are looked at, too.
    """
    job = desk.finish(desk.client.check_upstreams(), "Check-up of every upstream", is_awaited=is_awaited)
    if job is not None:
        desk.screen.show(job, "\n".join(_report(job["result"])))


def _show(desk: Desk, shown: Document) -> None:
    desk.screen.show(shown, columns([_row(shown)]))


def _row(shown: Document) -> Sequence[object]:
    at_work, waiting = f"{shown['at_work']} of {shown['at_once']} at work", f"{shown['parked']} waiting"
    return shown["name"], shown["state"], at_work, waiting, _told(shown)


def _told(shown: Document) -> str:
    """Return how it came to be as it is; nothing of one that is open and always was."""
    by = f"by {shown['paused_by']}" if shown["paused_by"] else ""
    since = f"since {moment(shown['since'])}" if shown["since"] else ""
    head = " ".join(filter(None, (by, since)))
    return ": ".join(filter(None, (head, shown["reason"])))


def _last_check_up(shown: Document) -> str:
    if shown["checkup"] is None:
        return ""
    checks = [*shown["others"], *(check for each in shown["upstreams"] for check in each["checks"])]
    wrong = sum(check["state"] == "wrong" for check in checks)
    found = f"{wrong} of {len(checks)} wrong" if wrong else "nothing wrong"
    all_of_it = f"slipway jobs show {shown['checkup']} --json"
    return f"\nLast check-up: {moment(shown['checked_at'])}, {found}. All of it: {all_of_it}"


def _report(result: Document) -> Iterator[str]:
    for group, checks in groupby(result["checks"], key=lambda each: each["group"]):
        yield str(group)
        for each in checks:
            yield f"  {SIGNS.get(each['state'], '?')} {each['check']}: {each['said']}"
            if each["remedy"]:
                yield f"      → {each['remedy']}"
    yield "Everything is there." if result["is_well"] else "Mend what is marked ✗, and check again."

"""Options and arguments that several commands share."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from slipway import address
from slipway.commands.context import CommandContext

SECONDS = {"m": 60, "h": 3600, "d": 86400}
SPAN = re.compile(r"(\d{1,6})([mhd])")

pass_context = click.make_pass_decorator(CommandContext)
app = click.argument("app")
awaited = click.option(
    "--wait/--no-wait",
    "is_awaited",
    default=True,
    help="Follow the job to its end (the default), or only print its id.",
)
limit = click.option(
    "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Number of rows, newest first."
)
password_stdin = click.option(
    "--password-stdin", "is_piped", is_flag=True, help="Read the password from standard input, as one line."
)


class PathPart(click.ParamType[str]):
    """A text that is one segment of a URL path."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            address.join("", value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return str(value)


class Since(click.ParamType[datetime]):
    """A time, or how long ago: `2026-01-31T08:00Z`, `90m`, `12h`, `7d`."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            if span := SPAN.fullmatch(value):
                return datetime.now(UTC) - timedelta(seconds=int(span[1]) * SECONDS[span[2]])
            return datetime.fromisoformat(value).astimezone()
        except (ValueError, OverflowError):
            self.fail("Use a time such as 2026-01-31T08:00Z, or how long ago: 90m, 12h, 7d.", param, ctx)


job = click.argument("job_id", metavar="JOB", type=PathPart())
step = click.argument("step", type=PathPart())


def read_password(*, is_piped: bool, is_new: bool = False) -> str:
    """Return a password: asked for without an echo, or from standard input. Raises UsageError."""
    return read_secret("Password", is_piped=is_piped, is_new=is_new)


def read_secret(name: str, *, is_piped: bool, is_new: bool = False) -> str:
    """Return a password or code: asked for without an echo, or the next line of standard input. Raises UsageError."""
    if is_piped:
        return _read_line(name.lower())
    if not sys.stdin.isatty():
        raise click.UsageError(f"There is no terminal to ask for the {name.lower()}. Use --password-stdin.")
    secret: str = click.prompt(name, hide_input=True, confirmation_prompt=is_new, err=True)
    return secret


def read_invite(*, is_piped: bool) -> str:
    """Return an invitation code: asked for, or from standard input. Raises UsageError.

    It is no argument: other users of the machine can read those.
    """
    code: str = _read_line("invitation code") if is_piped else click.prompt("Invitation code", err=True)
    return code.strip()


def _read_line(wanted: str) -> str:
    line = sys.stdin.readline().removesuffix("\n").removesuffix("\r")
    if not line:
        raise click.UsageError(f"There is no {wanted} on standard input. Send it as a line of its own.")
    return line

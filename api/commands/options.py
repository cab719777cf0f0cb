"""Options that several commands share, and the types of their values."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sized
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import click
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.commands.base import Refusal, print_note
from api.contract import validation
from api.service import service
from common.database.ids import EPOCH
from common.database.models import App, User

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

SECONDS = {"m": 60, "h": 3_600, "d": 86_400}
SPAN = re.compile(r"([1-9]\d{0,4})([mhd])")
AGO = re.compile(r"(\d{1,6})([mhd])")  # as in the client: a test compares the two
LOGIN = re.compile(r"[a-z][a-z0-9-]{0,63}")


def at_most(usual: int) -> Callable[[Decorated], Decorated]:
    """Add `--limit` to a command that lists."""
    return click.option(
        "--limit", type=click.IntRange(1), default=usual, show_default=True, help="Maximum number of entries."
    )


def hint_at_more(found: Sized, limit: int) -> None:
    """Print how to see more entries if there may be any."""
    if len(found) == limit:
        print_note("There may be more entries. To see them, raise --limit.")


class DurationType(click.ParamType[timedelta]):
    """A duration such as `30m`, `12h` or `90d`, of at least `least`."""

    name = "span"

    def __init__(self, least: timedelta = timedelta(minutes=1)) -> None:
        self._least = least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        found = SPAN.fullmatch(value)
        if found is None:
            self.fail("Use a number of minutes, hours or days: 30m, 12h, 90d.", param, ctx)
        length = timedelta(seconds=int(found[1]) * SECONDS[found[2]])
        if length < self._least:
            self.fail(f"Use {self._least.days}d or more.", param, ctx)
        return length


class Since(click.ParamType[datetime]):
    """A time, or how long ago: `2026-01-31T08:00Z`, `90m`, `12h`, `7d`."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            if ago := AGO.fullmatch(value):
                return max(EPOCH, datetime.now(UTC) - timedelta(seconds=int(ago[1]) * SECONDS[ago[2]]))
            return datetime.fromisoformat(value).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail("Use a time such as 2026-01-31T08:00Z, or how long ago: 90m, 12h, 7d.", param, ctx)


class Pattern(click.ParamType[str]):
    """A text that matches a pattern as a whole; `remedy` describes a valid one."""

    name = "text"

    def __init__(self, pattern: re.Pattern[str], remedy: str) -> None:
        self._pattern = pattern
        self._remedy = remedy

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not self._pattern.fullmatch(value):
            self.fail(self._remedy, param, ctx)
        return str(value)


password_stdin = click.option(
    "--password-stdin", "is_piped", is_flag=True, help="Read the password from a line of standard input."
)


def read_password(*, is_piped: bool) -> str:
    """Return a new password, from a prompt that hides it and asks twice, or from standard input. Raises UsageError."""
    if is_piped:
        line = sys.stdin.readline().removesuffix("\n").removesuffix("\r")
        if not line:
            raise click.UsageError("Standard input contains no password. Pipe it as one line.")
        return line
    if not sys.stdin.isatty():
        raise click.UsageError("Cannot prompt for the password without a terminal. Use --password-stdin.")
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return password


def known_team(team: str) -> str:
    """Return a team of the catalog. Raises Refusal."""
    teams = service().catalog.teams
    if team not in teams:
        raise Refusal(f"The catalog has no team {team!r}. Choose one of: {', '.join(teams)}.")
    return team


def find_user(session: Session, login: str, *, for_update: bool = False) -> User:
    """Return the account with this login. Raises Refusal."""
    statement = select(User).where(User.login == login)
    if for_update:
        statement = statement.with_for_update()
    user = session.scalar(statement) if LOGIN.fullmatch(login) else None
    if user is None:
        raise Refusal(f"There is no account with the login {login!r}. To list the accounts: flask --app api users list")
    return user


def app_id(session: Session, named: str) -> str:
    """Return the id of an app, which is given by name or id. Raises Refusal."""
    if validation.ID.fullmatch(named):
        is_named = App.id == named
    elif validation.NAME.fullmatch(named):
        is_named = App.claimed_name == named
    else:
        raise Refusal(f"{named!r} is neither the name nor the ID of an app.")
    found = session.scalar(select(App.id).where(is_named))
    if found is None:
        raise Refusal(f"There is no app {named!r}. An app that was removed can be found by its ID only.")
    return found

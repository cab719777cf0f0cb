"""What do all commands have in common?  They need the database and the settings, nothing else; and the exit codes.

0    done, and nothing is wrong
1    something is wrong: what was looked for has been found, not all could be done, or the settings do not hold together
2    the command was not understood
3    refused, with the reason
4    the database does not answer, or its schema is not this version's
130  Ctrl-C, or "no" to a question
"""

from __future__ import annotations

import json
import sys
from typing import Any

import click
from flask.cli import ScriptInfo
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from api.commands.text import plain
from api.contract.problems import Problem
from api.service import service
from common.database.engine import CommitUnknownError

WRONG, INTERRUPTED = 1, 130
CODES = """\b
Exit codes:
  0  done                 2  a mistake in the command   4    the database does not answer
  1  something is wrong   3  refused, with the reason   130  Ctrl-C
"""

as_json = click.option("--json", "is_json", is_flag=True, help="Print one JSON document on standard output.")
dry_run = click.option("--dry-run", "is_dry", is_flag=True, help="Change nothing, only print_result what would be.")
yes = click.option("--yes", "is_confirmed", is_flag=True, help="Do not ask.")


class Refusal(click.ClickException):
    """It cannot be done; the message says why, and what can."""

    exit_code = 3


class Unavailable(click.ClickException):
    """The database does not do its part; the message says what to do."""

    exit_code = 4


class Command(click.Command):
    """A command with the parts of the app at hand; turns what went wrong into words and an exit code."""

    needs_schema = True

    def invoke(self, ctx: click.Context) -> Any:
        with ctx.ensure_object(ScriptInfo).load_app().app_context():
            try:
                if self.needs_schema:
                    _check_schema()
                return super().invoke(ctx)
            except (DBAPIError, PoolTimeoutError) as error:
                why = type(getattr(error, "orig", None) or error).__name__
                raise Unavailable(f"The database did not do its part ({why}). Is DB_URL right?") from None
            except CommitUnknownError:
                raise Unavailable("The connection broke during a commit: it may have been done. Look again.") from None
            except (KeyboardInterrupt, click.Abort):
                click.echo("Stopped.", err=True)
                ctx.exit(INTERRUPTED)


def _check_schema() -> None:
    """Make sure of the schema, and of the catalog's teams, as the API does at its first request."""
    try:
        service().readiness.check()
    except Problem as problem:
        raise Unavailable(problem.detail) from None


class Group(click.Group):
    """Some such commands."""

    command_class = Command

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, epilog=CODES, **kwargs)


def print_result(is_json: bool, document: Any, text: str) -> None:
    """Print what was asked for: the document on one line with `--json`, the text otherwise."""
    click.echo(json.dumps(document) if is_json else plain(text))


def print_note(text: str) -> None:
    """Say what is no part of the answer, on standard error."""
    click.echo(plain(text), err=True)


def confirm(question: str, *, is_confirmed: bool) -> None:
    """Ask, unless `--yes` was said; without a terminal nobody is asked. Raises UsageError, Abort."""
    if is_confirmed:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("There is no terminal to ask: print_result --yes, or --dry-run where there is one.")
    click.confirm(question, abort=True, err=True)

"""Basics of all operator commands, which need only the database and the settings: errors, output and exit codes.

0    success
1    problems found: the command reports some, could not do everything, or the settings are invalid
2    usage error
3    refused, with the reason
4    the database is unavailable, or its schema is not current
130  Ctrl-C, or "no" to a question
"""

from __future__ import annotations

import json
import sys
from typing import Any

import click
from flask import g
from flask.cli import ScriptInfo
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from api.presentation.printable import plain
from api.service import service
from common.database import failures
from common.database.ids import new_id
from common.database.migrate import SchemaError
from common.database.repeats import CommitUnknownError

WRONG, INTERRUPTED = 1, 130
CODES = """\b
Exit codes:
  0  success          2  usage error                4    the database is unavailable
  1  problems found   3  refused, with the reason   130  Ctrl-C
"""

as_json = click.option("--json", "is_json", is_flag=True, help="Print one JSON document to standard output.")
dry_run = click.option("--dry-run", "is_dry", is_flag=True, help="Change nothing; only report what would change.")
yes = click.option("--yes", "is_confirmed", is_flag=True, help="Do not ask for confirmation.")


class Refusal(click.ClickException):
    """The command is refused; the message says why, and what to do instead."""

    exit_code = 3


class Unavailable(click.ClickException):
    """The database is unavailable; the message says what to do."""

    exit_code = 4


class Command(click.Command):
    """A command that runs in the app's context and turns errors into a message and an exit code."""

    needs_schema = True

    def invoke(self, ctx: click.Context) -> Any:
        with ctx.ensure_object(ScriptInfo).load_app().app_context():
            g.request_id = new_id()  # connects the acts of this run in the audit
            try:
                if self.needs_schema:
                    service().readiness.verify()  # it adds missing teams of the catalog, as the API does
                return super().invoke(ctx)
            except SchemaError as problem:
                raise Unavailable(plain(str(problem))) from None
            except (DBAPIError, PoolTimeoutError) as error:
                raise Unavailable(plain(failures.explained(error))) from None
            except CommitUnknownError:
                raise Unavailable(
                    "The connection broke during the commit, so the change may have been saved. "
                    "Check before you try again."
                ) from None
            except (KeyboardInterrupt, click.Abort):
                click.echo("Stopped.", err=True)
                ctx.exit(INTERRUPTED)


class Group(click.Group):
    """A group of such commands, whose help lists the exit codes."""

    command_class = Command

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, epilog=CODES, **kwargs)


def print_result(is_json: bool, document: Any, text: str) -> None:
    """Print the result to standard output: the document on one line with `--json`, otherwise the text."""
    click.echo(json.dumps(document) if is_json else plain(text))


def print_note(text: str) -> None:
    """Print a note to standard error, apart from the result."""
    click.echo(plain(text), err=True)


def confirm(question: str, *, is_confirmed: bool) -> None:
    """Ask for confirmation unless `--yes` was passed. Raises Abort, or UsageError without a terminal."""
    if is_confirmed:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(
            "Cannot ask for confirmation without a terminal. Pass --yes, or try --dry-run first if the command has it."
        )
    click.confirm(question, abort=True, err=True)

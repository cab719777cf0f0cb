"""Base classes of the commands: `--json` and the exit codes.

0    done
1    the job failed or was cancelled
2    a mistake in the command
3    the server refused the request
4    the server cannot be reached
130  Ctrl-C
141  the reader of the output closed it
"""

from __future__ import annotations

import os
import sys
from typing import Any, NoReturn

import click

from slipway.commands import failures
from slipway.commands.context import CommandContext
from slipway.errors import ClientError

INTERRUPTED = 130
OUTPUT_CLOSED = 141


class Command(click.Command):
    """A command with `--json`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(
            click.Option(
                ["--json"],
                is_flag=True,
                expose_value=False,
                callback=_answer_in_json,
                help="Print JSON, and only JSON, on standard output.",
            )
        )


class Group(click.Group):
    """A group of such commands."""

    command_class = Command


class Program(click.Group):
    """The whole program: turns an error into a message on standard error and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the commands in the order in which a new user needs them."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            super().invoke(ctx)
            sys.stdout.flush()
        except ClientError as error:
            ctx.exit(failures.report(error, ctx.obj))
        except (KeyboardInterrupt, click.Abort):
            ctx.exit(INTERRUPTED)
        except BrokenPipeError:
            _end_on_closed_output()


def _answer_in_json(ctx: click.Context, _option: click.Parameter, is_wanted: bool) -> None:
    if is_wanted:
        ctx.ensure_object(CommandContext).output.is_json = True


def _end_on_closed_output() -> NoReturn:
    """Exit without a message. What is left in the buffer must not fail again when Python closes it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(OUTPUT_CLOSED)

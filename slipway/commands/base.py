"""What do all commands have in common?  `--json`, and the exit codes.

0    done
1    the job failed, or was cancelled
2    the command was not understood
3    the server refused, and said why
4    the server cannot be reached
130  Ctrl-C
141  whoever read the output hung up
"""

from __future__ import annotations

import os
import sys
from typing import Any, NoReturn

import click

from slipway.commands import failures
from slipway.commands.context import Desk
from slipway.errors import ClientError

INTERRUPTED = 130
HUNG_UP = 141


class Command(click.Command):
    """A command that can answer a program."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(
            click.Option(
                ["--json"],
                is_flag=True,
                expose_value=False,
                callback=_answer_in_json,
                help="Print JSON on standard output, and nothing else there.",
            )
        )


class Group(click.Group):
    """A group of such commands."""

    command_class = Command


class Program(click.Group):
    """The whole program: turns what went wrong into words on standard error and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return them in the order in which a newcomer needs them."""
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
            _hang_up()


def _answer_in_json(ctx: click.Context, _option: click.Parameter, is_wanted: bool) -> None:
    if is_wanted:
        ctx.ensure_object(Desk).screen.is_json = True


def _hang_up() -> NoReturn:
    """End without a word; what is left in the buffer must not fail once more when Python closes it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(HUNG_UP)

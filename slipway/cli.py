"""The program `slipway`."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper

import click
from click.core import ParameterSource

from slipway import address, tokens
from slipway.commands.accounts import login, logout, me, offboard, signup
from slipway.commands.apps import app
from slipway.commands.base import Program
from slipway.commands.context import Desk
from slipway.commands.jobs import jobs
from slipway.commands.projects import project
from slipway.commands.releases import build, builds, deploy, deploys, rollback
from slipway.commands.upstreams import upstreams
from slipway.retry import Repeats

USUAL_URL = "http://127.0.0.1:8000"
EPILOG = """\b
Environment:
  SLIPWAY_URL    the server, in place of --url
  SLIPWAY_TOKEN  a token, in place of `slipway login`

\b
Exit codes:
  0  done                      3  the server refused, and said why
  1  the job failed            4  the server cannot be reached
  2  a mistake in the command  130  Ctrl-C    141  the reader hung up
"""


@click.group(
    cls=Program, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.option(
    "--url", envvar="SLIPWAY_URL", default=USUAL_URL, show_default=True, metavar="URL", help="Where Slipway is."
)
@click.version_option(package_name="slipway")
@click.pass_context
def slipway(ctx: click.Context, url: str) -> None:
    """Accounts, apps, builds and deployments of your team.

    Begin with `slipway signup` and `slipway login`. Commands that start a job follow it to its end and fail when it
    does; --no-wait prints its id instead. Every command takes --json.
    """
    try:
        checked = address.checked(url)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--url") from None
    is_option = ctx.get_parameter_source("url") is ParameterSource.COMMANDLINE
    ctx.obj = Desk(
        url=checked,
        url_option=f"--url {checked} " if is_option else "",
        given_token=os.environ.get("SLIPWAY_TOKEN", "").strip() or None,
        tokens=tokens.Tokens(tokens.directory(os.environ)),
        repeats=ctx.find_object(Repeats) or Repeats(),
    )


for command in (
    signup,
    login,
    logout,
    me,
    project,
    app,
    build,
    deploy,
    rollback,
    builds,
    deploys,
    jobs,
    upstreams,
    offboard,
):
    slipway.add_command(command)


def main() -> None:
    """Run the program and leave with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without our signs still gets the words
    slipway(prog_name="slipway")

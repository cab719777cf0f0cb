"""The `slipway` program: its options, its commands, its exit codes."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper

import click
from click.core import ParameterSource

from slipway import address, tokens
from slipway.commands.accounts import login, logout, me, offboard, signup
from slipway.commands.apps import app
from slipway.commands.audit import audit
from slipway.commands.base import Program
from slipway.commands.context import CommandContext
from slipway.commands.jobs import jobs
from slipway.commands.passwords import password, reset_password
from slipway.commands.projects import project
from slipway.commands.releases import build, builds, deploy, deploys, rollback
from slipway.commands.sessions import sessions
from slipway.commands.status import status
from slipway.commands.tokens import tokens as api_tokens
from slipway.commands.upstreams import upstreams
from slipway.retry import RetryPolicy

DEFAULT_URL = "http://127.0.0.1:8000"
EPILOG = """\b
Environment:
  SLIPWAY_URL    the server, instead of --url
  SLIPWAY_TOKEN  an API token or the token of a log-in, instead of `slipway login`

\b
Exit codes:
  0  done                      3  the server refused the request
  1  the job failed            4  the server cannot be reached
  2  a mistake in the command  130  Ctrl-C    141  output closed
"""


@click.group(
    cls=Program, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.option(
    "--url", envvar="SLIPWAY_URL", default=DEFAULT_URL, show_default=True, metavar="URL", help="Address of the server."
)
@click.version_option(package_name="slipway")
@click.pass_context
def slipway(ctx: click.Context, url: str) -> None:
    """Manage the accounts, apps, builds and deployments of your team.

    Start with `slipway signup` and `slipway login`. A command that starts a job follows it to its end, and fails when
    the job fails; --no-wait prints the job's id instead. Every command takes --json.
    """
    try:
        checked = address.checked(url)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--url") from None
    is_option = ctx.get_parameter_source("url") is ParameterSource.COMMANDLINE
    ctx.obj = CommandContext(
        url=checked,
        url_option=f"--url {checked} " if is_option else "",
        given_token=os.environ.get("SLIPWAY_TOKEN", "").strip() or None,
        tokens=tokens.Tokens(tokens.directory(os.environ)),
        retry=ctx.find_object(RetryPolicy) or RetryPolicy(),
    )


for command in (
    signup,
    login,
    logout,
    me,
    password,
    sessions,
    api_tokens,
    project,
    app,
    build,
    deploy,
    rollback,
    builds,
    deploys,
    jobs,
    status,
    upstreams,
    offboard,
    reset_password,
    audit,
):
    slipway.add_command(command)


def main() -> None:
    """Run the program and exit with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot print ✓ still prints the text
    slipway(prog_name="slipway")

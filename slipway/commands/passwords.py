"""Commands about passwords: change one's own, set it by a code, create a code for somebody else."""

from __future__ import annotations

import click

from slipway.commands.base import Command
from slipway.commands.context import CommandContext
from slipway.commands.options import PathPart, awaited, pass_context, password_stdin, read_secret
from slipway.text import moment


@click.command(cls=Command)
@click.option("--reset", "login", metavar="ID", help="Set a new password with the code from an administrator.")
@password_stdin
@awaited
@pass_context
def password(context: CommandContext, *, login: str | None, is_piped: bool, is_awaited: bool) -> None:
    """Change your password, here and on the upstreams.

    The present password and the new one are asked for and not echoed; with --password-stdin they are the first and the
    second line. With --reset, the code takes the place of the present password. Your other sessions end.
    """
    if login is None:
        present = read_secret("Present password", is_piped=is_piped)
        accepted = context.client.change_password(present, _read_new(is_piped=is_piped))
        job = context.finish(accepted, "Change of your password", is_awaited=is_awaited)
        if job is not None:
            context.output.show(job, "Your password is changed.")
        return
    code = read_secret("Code", is_piped=is_piped)
    new = _read_new(is_piped=is_piped)
    accepted = context.client.confirm_password_reset(login, reset_code=code, password=new)
    context.output.show(accepted, f"Your password is changed. Log in with: slipway {context.url_option}login {login}")


@click.command("reset-password", cls=Command)
@click.argument("login", metavar="ID", type=PathPart())
@pass_context
def reset_password(context: CommandContext, login: str) -> None:
    """Create a code with which a person sets a new password.

    For administrators. It is valid for one hour and replaces an earlier one.
    """
    made = context.client.create_password_reset(login)
    context.output.show(made, made["reset_code"])
    context.output.warn(
        f"Give {login} this code, valid until {moment(made['expires_at'])}: slipway password --reset {login}"
    )


def _read_new(*, is_piped: bool) -> str:
    return read_secret("New password", is_piped=is_piped, is_new=True)

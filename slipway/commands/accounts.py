"""Commands about accounts: login, logout, me, signup, offboard."""

from __future__ import annotations

import sys

import click

from slipway.commands.base import Command
from slipway.commands.context import CommandContext
from slipway.commands.options import PathPart, awaited, pass_context, password_stdin, read_invite, read_password
from slipway.text import moment


@click.command(cls=Command)
@click.argument("login", required=False, metavar="[ID]")
@password_stdin
@pass_context
def login(context: CommandContext, login: str | None, is_piped: bool) -> None:
    """Log in and stay logged in on this machine.

    ID is the login of your sign-up. It is asked for when it is not given; so is the password, which is not echoed. The
    server's token is kept in a file that only you can read.
    """
    if login is None:
        if is_piped or not sys.stdin.isatty():
            raise click.UsageError("Missing ID: add the login of your sign-up.")
        login = click.prompt("ID", err=True)
    logged_in = context.client.log_in(login, read_password(is_piped=is_piped))
    context.tokens.keep(context.url, logged_in.pop("token"))
    if context.given_token is not None:
        context.output.warn(
            "SLIPWAY_TOKEN is set: commands use that token, not this log-in. Unset it to use this log-in."
        )
    user = logged_in["user"]
    ends = moment(logged_in["expires_at"])
    context.output.show(logged_in, f"Logged in at {context.url} as {user['id']} of team {user['team']}, until {ends}.")


@click.command(cls=Command)
@pass_context
def logout(context: CommandContext) -> None:
    """Log out and invalidate the token."""
    context.client.log_out()
    if context.given_token is None:
        context.tokens.forget(context.url)
    context.output.show({"url": context.url}, f"Logged out at {context.url}.")


@click.command(cls=Command)
@pass_context
def me(context: CommandContext) -> None:
    """Show who is logged in."""
    user = context.client.get_me()
    rank = ", administrator" if user["is_admin"] else ""
    context.output.show(user, f"{user['name']} ({user['id']}, {user['email']}), team {user['team']}{rank}")


@click.command(cls=Command)
@click.argument("login", metavar="ID")
@click.option("--email", required=True, help="The person's e-mail address.")
@click.option("--name", required=True, help="The person's full name.")
@click.option("--team", required=True, help="The team to join, such as dev.")
@click.option(
    "--invite",
    "is_invited",
    is_flag=True,
    help="Ask for an invitation code, too; from standard input it is the next line.",
)
@password_stdin
@awaited
@pass_context
def signup(
    context: CommandContext,
    *,
    login: str,
    email: str,
    name: str,
    team: str,
    is_invited: bool,
    is_piped: bool,
    is_awaited: bool,
) -> None:
    """Create a person's accounts.

    On GitLab, Jenkins and Kibana, with the roles of the team. ID is the login on all of them. The password is asked for
    twice and not echoed. A team that is not open to all needs --invite.
    """
    password = read_password(is_piped=is_piped, is_new=True)
    invite = read_invite(is_piped=is_piped) if is_invited else None
    accepted = context.client.sign_up(login, email=email, name=name, password=password, team=team, invite=invite)
    job = context.finish(accepted, f"Sign-up of {login} in team {team}", is_awaited=is_awaited)
    if job is not None:
        context.output.show(job, f"Done. Log in with: slipway {context.url_option}login {login}")


@click.command(cls=Command)
@click.argument("login", metavar="ID", type=PathPart())
@click.option(
    "--yes", "is_sure", is_flag=True, help="Do not ask for confirmation; without a terminal it is never asked for."
)
@awaited
@pass_context
def offboard(context: CommandContext, *, login: str, is_sure: bool, is_awaited: bool) -> None:
    """Close the accounts that were created for a person.

    For administrators. The person's log-ins end at once; what they created for the team stays.
    """
    if not is_sure and sys.stdin.isatty():
        click.confirm(f"Close the accounts of {login}?", abort=True, err=True)
    job = context.finish(context.client.remove_person(login), f"Off-boarding of {login}", is_awaited=is_awaited)
    if job is not None:
        context.output.show(job, f"The accounts of {login} are closed.")

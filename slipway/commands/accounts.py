"""slipway login, logout, me, signup, offboard"""

from __future__ import annotations

import sys

import click

from slipway.commands.base import Command
from slipway.commands.context import Desk
from slipway.commands.options import PathPart, awaited, pass_desk, password_stdin, read_invite, read_password
from slipway.text import moment


@click.command(cls=Command)
@click.argument("login", required=False, metavar="[ID]")
@password_stdin
@pass_desk
def login(desk: Desk, login: str | None, is_piped: bool) -> None:
    """Log in, and stay logged in on this machine.

    ID is the login of your sign-up; it is asked for when it is not given, and so is the password, without an echo. The
    token that the server gives is kept in a file that only you can read.
    """
    if login is None:
        if is_piped or not sys.stdin.isatty():
            raise click.UsageError("Name the ID to log in with.")
        login = click.prompt("ID", err=True)
    logged_in = desk.client.log_in(login, read_password(is_piped=is_piped))
    desk.tokens.keep(desk.url, logged_in.pop("token"))
    if desk.given_token is not None:
        desk.screen.warn("SLIPWAY_TOKEN is set: the commands go on using that one, not this log-in.")
    user = logged_in["user"]
    ends = moment(logged_in["expires_at"])
    desk.screen.show(logged_in, f"Logged in at {desk.url} as {user['id']} of team {user['team']}, until {ends}.")


@click.command(cls=Command)
@pass_desk
def logout(desk: Desk) -> None:
    """Log out: the token is worth nothing any more."""
    desk.client.log_out()
    if desk.given_token is None:
        desk.tokens.forget(desk.url)
    desk.screen.show({"url": desk.url}, f"Logged out at {desk.url}.")


@click.command(cls=Command)
@pass_desk
def me(desk: Desk) -> None:
    """Show who is logged in."""
    user = desk.client.get_me()
    rank = ", an administrator" if user["is_admin"] else ""
    desk.screen.show(user, f"{user['name']} ({user['id']}, {user['email']}), of team {user['team']}{rank}")


@click.command(cls=Command)
@click.argument("login", metavar="ID")
@click.option("--email", required=True, help="The person's e-mail address.")
@click.option("--name", required=True, help="The person's full name.")
@click.option("--team", required=True, help="The team to join, such as dev.")
@click.option(
    "--invite", "is_invited", is_flag=True, help="Ask for the code of an invitation, too; piped, it is the next line."
)
@password_stdin
@awaited
@pass_desk
def signup(
    desk: Desk,
    *,
    login: str,
    email: str,
    name: str,
    team: str,
    is_invited: bool,
    is_piped: bool,
    is_awaited: bool,
) -> None:
    """Make a person's accounts.

    On GitLab, Jenkins and Kibana, in the roles of the team. ID is the login on all of them. The password is asked for
    twice, without an echo. A team that is not open to all is joined with --invite.
    """
    password = read_password(is_piped=is_piped, is_new=True)
    invite = read_invite(is_piped=is_piped) if is_invited else None
    accepted = desk.client.sign_up(login, email=email, name=name, password=password, team=team, invite=invite)
    job = desk.finish(accepted, f"Sign-up of {login} in team {team}", is_awaited=is_awaited)
    if job is not None:
        desk.screen.show(job, f"Done. Log in with: slipway {desk.url_option}login {login}")


@click.command(cls=Command)
@click.argument("login", metavar="ID", type=PathPart())
@click.option("--yes", "is_sure", is_flag=True, help="Do not ask. Nobody is asked without a terminal, either.")
@awaited
@pass_desk
def offboard(desk: Desk, *, login: str, is_sure: bool, is_awaited: bool) -> None:
    """Close the accounts that were made for a person.

    For administrators. Their log-ins end at once; what they made for the team stays.
    """
    if not is_sure and sys.stdin.isatty():
        click.confirm(f"Close the accounts of {login}?", abort=True, err=True)
    job = desk.finish(desk.client.remove_person(login), f"Off-boarding of {login}", is_awaited=is_awaited)
    if job is not None:
        desk.screen.show(job, f"The accounts of {login} are closed.")

"""Commands about your own sessions: list, end."""

from __future__ import annotations

import click

from slipway.commands.base import Group
from slipway.commands.context import CommandContext
from slipway.commands.options import PathPart, pass_context
from slipway.text import columns, moment


@click.group(cls=Group)
def sessions() -> None:
    """List and end your sessions: where you are logged in."""


@sessions.command("list")
@pass_context
def list_all(context: CommandContext) -> None:
    """List your sessions, newest first; the one of this command has a star."""
    listed = context.client.list_sessions()
    rows = [
        (
            each["session_id"],
            "*" if each["current"] else "",
            moment(each["created_at"]),
            moment(each["last_used_at"]),
            each["address"],
            each["user_agent"],
        )
        for each in listed
    ]
    context.output.show(listed, columns(rows, nothing="You have no sessions."))


@sessions.command("end")
@click.argument("session_id", required=False, metavar="[SESSION]", type=PathPart())
@click.option("--others", "is_others", is_flag=True, help="End all sessions but this one.")
@pass_context
def end(context: CommandContext, *, session_id: str | None, is_others: bool) -> None:
    """End one of your sessions, or all others.

    A session that ends is logged out at once. List their ids with: slipway sessions list
    """
    if (session_id is None) != is_others:
        raise click.UsageError("Give the id of one session, or --others.")
    if session_id is None:
        answer = context.client.end_other_sessions()
        context.output.show(answer, f"{answer['ended']} other sessions have ended.")
        return
    context.client.end_session(session_id)
    context.output.show({"session_id": session_id}, f"The session {session_id} has ended.")

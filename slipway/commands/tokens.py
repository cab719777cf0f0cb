"""Commands about your API tokens: create, list, revoke."""

from __future__ import annotations

import click

from slipway.commands.base import Group
from slipway.commands.context import CommandContext
from slipway.commands.options import PathPart, pass_context
from slipway.text import columns, moment

SCOPES = ("read", "build", "deploy", "team")


@click.group(cls=Group)
def tokens() -> None:
    """Create, list and revoke your API tokens, for automation."""


@tokens.command("create")
@click.argument("name")
@click.option("--scope", type=click.Choice(SCOPES), required=True, help="What it may do; each includes those before.")
@click.option("--days", type=click.IntRange(1, 365), default=90, show_default=True, help="When it expires.")
@pass_context
def create(context: CommandContext, *, name: str, scope: str, days: int) -> None:
    """Create an API token and print it.

    It is shown only now. A CI system passes it to this program as SLIPWAY_TOKEN.
    """
    made = context.client.create_token(name, scope=scope, expires_in_days=days)
    context.output.show(made, made["token"])
    context.output.warn(f"Store the token now: it is not shown again. It expires at {moment(made['expires_at'])}.")


@tokens.command("list")
@pass_context
def list_all(context: CommandContext) -> None:
    """List your API tokens, newest first."""
    listed = context.client.list_tokens()
    rows = [
        (
            each["token_id"],
            each["name"],
            each["scope"],
            f"until {moment(each['expires_at'])}",
            f"used {moment(each['last_used_at'])}" if each["last_used_at"] else "never used",
        )
        for each in listed
    ]
    context.output.show(listed, columns(rows, nothing="You have no API tokens."))


@tokens.command("revoke")
@click.argument("token_id", metavar="TOKEN_ID", type=PathPart())
@pass_context
def revoke(context: CommandContext, token_id: str) -> None:
    """Revoke an API token: it becomes invalid at once."""
    context.client.revoke_token(token_id)
    context.output.show({"token_id": token_id}, f"The API token {token_id} is revoked.")

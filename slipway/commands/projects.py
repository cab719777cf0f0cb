"""Commands about projects: create, list."""

from __future__ import annotations

import click

from slipway.commands.base import Group
from slipway.commands.context import CommandContext
from slipway.commands.options import pass_context
from slipway.text import columns, moment


@click.group(cls=Group)
def project() -> None:
    """Create and list projects, which hold a team's apps."""


@project.command("create")
@click.argument("name")
@click.option("--description", default="", help="The purpose of the project.")
@pass_context
def create(context: CommandContext, name: str, description: str) -> None:
    """Create a project of your team and print its id."""
    made = context.client.create_project(name, description=description)
    context.output.show(made, made["project_id"])


@project.command("list")
@pass_context
def list_all(context: CommandContext) -> None:
    """List the projects of your team, newest first."""
    projects = list(context.client.list_projects(context.client.get_me()["team"]))
    rows = [(each["project_id"], each["name"], moment(each["created_at"]), each["description"]) for each in projects]
    context.output.show(projects, columns(rows, nothing="Your team has no projects."))

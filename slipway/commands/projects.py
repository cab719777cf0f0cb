"""slipway project create, list"""

from __future__ import annotations

import click

from slipway.commands.base import Group
from slipway.commands.context import Desk
from slipway.commands.options import pass_desk
from slipway.text import columns, moment


@click.group(cls=Group)
def project() -> None:
    """Make and list what a team keeps its apps in."""


@project.command("create")
@click.argument("name")
@click.option("--description", default="", help="What it is for.")
@pass_desk
def create(desk: Desk, name: str, description: str) -> None:
    """Make a project of your team and print its id."""
    made = desk.client.create_project(name, description=description)
    desk.screen.show(made, made["project_id"])


@project.command("list")
@pass_desk
def list_all(desk: Desk) -> None:
    """List the projects of your team, newest first."""
    projects = list(desk.client.list_projects(desk.client.get_me()["team"]))
    rows = [(each["project_id"], each["name"], moment(each["created_at"]), each["description"]) for each in projects]
    desk.screen.show(projects, columns(rows, nothing="Your team has no project."))

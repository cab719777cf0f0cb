"""slipway app create, list, show, plan, drift, reconcile, delete"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from slipway.commands import options
from slipway.commands.base import Group
from slipway.commands.context import Desk
from slipway.commands.options import awaited, pass_desk
from slipway.errors import Document
from slipway.text import columns, moment

Command = TypeVar("Command", bound=Callable[..., Any])


def what_to_make(command: Command) -> Command:
    """Add what `create` and `plan` take."""
    for decorate in (
        click.option("--description", default="", help="What it is for."),
        click.option("--type", "type_", required=True, help="Spring, Django, Flask, or another of the catalog."),
        click.option("--project", required=True, help="The project it belongs to: its name or its id."),
        click.argument("name"),
    ):
        command = decorate(command)
    return command


@click.group(cls=Group)
def app() -> None:
    """Make apps, look after them, remove them.

    An app is a source and a helm repository, a pipeline and an Argo CD application, wired to one another.

    APP is an app's name or its id.
    """


@app.command("create")
@what_to_make
@awaited
@pass_desk
def create(desk: Desk, *, name: str, project: str, type_: str, description: str, is_awaited: bool) -> None:
    """Make an app with all its parts."""
    project_id = desk.project_id(project)
    accepted = desk.client.create_app(project_id, name, type=type_, description=description)
    job = desk.finish(accepted, f"App {name} of type {type_}", is_awaited=is_awaited)
    if job is not None:
        links = columns([("", link["kind"], link["url"]) for link in job["links"]], nothing="Done.")
        desk.screen.show(job, links)


@app.command("plan")
@what_to_make
@awaited
@pass_desk
def plan(desk: Desk, *, name: str, project: str, type_: str, description: str, is_awaited: bool) -> None:
    """Say what `create` would do. Nothing is made."""
    project_id = desk.project_id(project)
    accepted = desk.client.plan_app(project_id, name, type=type_, description=description)
    job = desk.finish(accepted, f"What making {name} would do", is_awaited=is_awaited)
    if job is not None:
        found = job["result"]
        rows = [("", step["verdict"], step["upstream"], step["step"], step["reason"]) for step in found["steps"]]
        verdict = "It can be made." if found["possible"] else "It cannot be made as it is."
        desk.screen.show(job, f"{columns(rows)}\n{verdict}")


@app.command("list")
@click.option("--project", help="Only the apps of this project: its name or its id.")
@pass_desk
def list_all(desk: Desk, project: str | None) -> None:
    """List the apps of your team, or of one project."""
    apps = _apps(desk, project)
    rows = [(each["app_id"], each["name"], each["type"], moment(each["created_at"])) for each in apps]
    desk.screen.show(apps, columns(rows, nothing="There is no app."))


def _apps(desk: Desk, project: str | None) -> list[Document]:
    if project is not None:
        return list(desk.client.list_apps(desk.project_id(project)))
    projects = desk.client.list_projects(desk.client.get_me()["team"])
    return [app for each in projects for app in desk.client.list_apps(each["project_id"])]


@app.command("show")
@options.app
@pass_desk
def show(desk: Desk, app: str) -> None:
    """Show an app, its parts, its last job."""
    shown = desk.client.get_app(desk.app_id(app))
    parts = [("", part["state"], part["kind"], part["url"] or part["name"]) for part in shown["parts"]]
    head = f"{shown['name']}, of type {shown['type']}, team {shown['team']}, id {shown['app_id']}"
    last = f"\nLast job: {shown['job_id']} {shown['state']}" if shown["job_id"] else ""
    desk.screen.show(shown, f"{head}\n{columns(parts, nothing='It has no parts yet.')}{last}")


@app.command("drift")
@options.app
@awaited
@pass_desk
def drift(desk: Desk, app: str, is_awaited: bool) -> None:
    """Compare an app with what was made.

    Says what is missing, changed or foreign. Nothing is changed.
    """
    accepted = desk.client.compare_app(desk.app_id(app))
    job = desk.finish(accepted, f"Comparison of {app} with what was made", is_awaited=is_awaited)
    if job is not None:
        found = job["result"]
        rows = [("", part["state"], part["upstream"], part["step"], part["reason"]) for part in found["parts"]]
        mend = f"\nPut it right: slipway {desk.url_option}app reconcile {app}" if rows and found["repairable"] else ""
        desk.screen.show(job, f"{columns(rows, nothing='Everything is as it was made.')}{mend}")


@app.command("reconcile")
@options.app
@awaited
@pass_desk
def reconcile(desk: Desk, app: str, is_awaited: bool) -> None:
    """Put back what is missing or was changed."""
    accepted = desk.client.reconcile_app(desk.app_id(app))
    job = desk.finish(accepted, f"Repair of {app}", is_awaited=is_awaited)
    if job is not None:
        desk.screen.show(job, "Everything is as it was made.")


@app.command("delete")
@options.app
@click.option("--dry-run", is_flag=True, help="Only say what would go and what would stay.")
@click.option("--yes", "is_sure", is_flag=True, help="Do not ask. Nobody is asked without a terminal, either.")
@awaited
@pass_desk
def delete(desk: Desk, *, app: str, dry_run: bool, is_sure: bool, is_awaited: bool) -> None:
    """Remove an app.

    What was made for it goes, in reverse order; what was there before stays. Its name is free again.
    """
    app_id = desk.app_id(app)
    if dry_run:
        preview = desk.client.preview_removal(app_id)
        desk.screen.show(preview, _preview(preview))
        return
    if not is_sure and sys.stdin.isatty():
        click.confirm(f"Remove {app} with its repositories and everything else?", abort=True, err=True)
    job = desk.finish(desk.client.delete_app(app_id), f"Removal of {app}", is_awaited=is_awaited)
    if job is not None:
        desk.screen.show(job, f"{app} is removed.")


def _preview(preview: Document) -> str:
    rows = [
        ("", word, item["kind"], item["url"] or item["name"], item["reason"])
        for word in ("goes", "stays")
        for item in preview[word]
    ]
    return columns(rows, nothing="There is nothing to remove.")

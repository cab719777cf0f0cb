"""Commands about apps: create, list, show, plan, drift, reconcile, delete."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from slipway.commands import options
from slipway.commands.base import Group
from slipway.commands.context import CommandContext
from slipway.commands.options import awaited, pass_context
from slipway.errors import Document
from slipway.text import columns, moment

Command = TypeVar("Command", bound=Callable[..., Any])


def app_options(command: Command) -> Command:
    """Add the arguments of `create` and `plan`."""
    for decorate in (
        click.option("--description", default="", help="The purpose of the app."),
        click.option("--type", "type_", required=True, help="Spring, Django, Flask, or another type of the catalog."),
        click.option("--project", required=True, help="The project it belongs to: its name or its id."),
        click.argument("name"),
    ):
        command = decorate(command)
    return command


@click.group(cls=Group)
def app() -> None:
    """Create, compare, repair and remove apps.

    An app is a source and a helm repository, a pipeline and an Argo CD application, connected to each other.

    APP is an app's name or its id.
    """


@app.command("create")
@app_options
@awaited
@pass_context
def create(context: CommandContext, *, name: str, project: str, type_: str, description: str, is_awaited: bool) -> None:
    """Create an app with all its parts."""
    project_id = context.project_id(project)
    accepted = context.client.create_app(project_id, name, type=type_, description=description)
    job = context.finish(accepted, f"App {name} of type {type_}", is_awaited=is_awaited)
    if job is not None:
        links = columns([("", link["kind"], link["url"]) for link in job["links"]], nothing="Done.")
        context.output.show(job, links)


@app.command("plan")
@app_options
@awaited
@pass_context
def plan(context: CommandContext, *, name: str, project: str, type_: str, description: str, is_awaited: bool) -> None:
    """Show what `create` would do, and create nothing."""
    project_id = context.project_id(project)
    accepted = context.client.plan_app(project_id, name, type=type_, description=description)
    job = context.finish(accepted, f"Plan of app {name}", is_awaited=is_awaited)
    if job is not None:
        found = job["result"]
        rows = [("", step["verdict"], step["upstream"], step["step"], step["reason"]) for step in found["steps"]]
        verdict = "The app can be created." if found["possible"] else "The app cannot be created as it is."
        context.output.show(job, f"{columns(rows)}\n{verdict}")


@app.command("list")
@click.option("--project", help="Only the apps of this project: its name or its id.")
@pass_context
def list_all(context: CommandContext, project: str | None) -> None:
    """List the apps of your team, or of one project."""
    apps = _apps(context, project)
    rows = [(each["app_id"], each["name"], each["type"], moment(each["created_at"])) for each in apps]
    context.output.show(apps, columns(rows, nothing="There are no apps."))


def _apps(context: CommandContext, project: str | None) -> list[Document]:
    if project is not None:
        return list(context.client.list_apps(context.project_id(project)))
    projects = context.client.list_projects(context.client.get_me()["team"])
    return [app for each in projects for app in context.client.list_apps(each["project_id"])]


@app.command("show")
@options.app
@pass_context
def show(context: CommandContext, app: str) -> None:
    """Show an app, its parts, its last job."""
    shown = context.client.get_app(context.app_id(app))
    parts = [("", part["state"], part["kind"], part["url"] or part["name"]) for part in shown["parts"]]
    head = f"{shown['name']}: type {shown['type']}, team {shown['team']}, id {shown['app_id']}"
    last = f"\nLast job: {shown['job_id']} {shown['state']}" if shown["job_id"] else ""
    context.output.show(shown, f"{head}\n{columns(parts, nothing='The app has no parts yet.')}{last}")


@app.command("drift")
@options.app
@awaited
@pass_context
def drift(context: CommandContext, app: str, is_awaited: bool) -> None:
    """Compare an app with what was created.

    Reports what is missing, changed or foreign, and changes nothing.
    """
    accepted = context.client.compare_app(context.app_id(app))
    job = context.finish(accepted, f"Comparison of {app}", is_awaited=is_awaited)
    if job is not None:
        found = job["result"]
        rows = [("", part["state"], part["upstream"], part["step"], part["reason"]) for part in found["parts"]]
        repair = (
            f"\nTo repair it: slipway {context.url_option}app reconcile {app}" if rows and found["repairable"] else ""
        )
        context.output.show(job, f"{columns(rows, nothing='Everything is as it was created.')}{repair}")


@app.command("reconcile")
@options.app
@awaited
@pass_context
def reconcile(context: CommandContext, app: str, is_awaited: bool) -> None:
    """Restore what is missing or was changed."""
    accepted = context.client.reconcile_app(context.app_id(app))
    job = context.finish(accepted, f"Repair of {app}", is_awaited=is_awaited)
    if job is not None:
        context.output.show(job, "Everything is as it was created.")


@app.command("delete")
@options.app
@click.option("--dry-run", is_flag=True, help="Only show what would be removed and what would stay.")
@click.option(
    "--yes", "is_sure", is_flag=True, help="Do not ask for confirmation; without a terminal it is never asked for."
)
@awaited
@pass_context
def delete(context: CommandContext, *, app: str, dry_run: bool, is_sure: bool, is_awaited: bool) -> None:
    """Remove an app.

    What was created for it is removed, in reverse order; what existed before stays. Its name can be used again.
    """
    app_id = context.app_id(app)
    if dry_run:
        preview = context.client.preview_removal(app_id)
        context.output.show(preview, _preview(preview))
        return
    if not is_sure and sys.stdin.isatty():
        click.confirm(
            f"Remove {app} with its repositories and everything else that was created for it?", abort=True, err=True
        )
    job = context.finish(context.client.delete_app(app_id), f"Removal of {app}", is_awaited=is_awaited)
    if job is not None:
        context.output.show(job, f"{app} was removed.")


def _preview(preview: Document) -> str:
    rows = [
        ("", word, item["kind"], item["url"] or item["name"], item["reason"])
        for word in ("goes", "stays")
        for item in preview[word]
    ]
    return columns(rows, nothing="There is nothing to remove.")

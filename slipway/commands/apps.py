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
    rows = [
        (each["app_id"], each["name"], each["type"], each.get("state", ""), _running(each), moment(each["created_at"]))
        for each in apps
    ]
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
    runs = _running(shown)
    state = f"\nState: {shown['state']}{f', runs {runs}' if runs else ''}"
    last = f"\nLast job: {shown['job_id']} {shown.get('job_state', '')}".rstrip() if shown["job_id"] else ""
    context.output.show(shown, f"{head}{state}\n{columns(parts, nothing='The app has no parts yet.')}{last}")


def _running(app: Document) -> str:
    """Return what runs, such as `17-b2c3d4e5 (healthy)`; an earlier server does not say it."""
    running = app.get("running")
    return f"{running['image_tag'] or running['revision']} ({running['health']})" if running else ""


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
@click.option("--yes", "is_sure", is_flag=True, help="Do not ask for confirmation. Needed without a terminal.")
@click.option("--purge", is_flag=True, help="Remove the repositories for good, for administrators only.")
@awaited
@pass_context
def delete(context: CommandContext, *, app: str, dry_run: bool, is_sure: bool, purge: bool, is_awaited: bool) -> None:
    """Remove an app.

    What was created for it is removed, in reverse order; what existed before stays. Its name can be used again. GitLab
    keeps the repositories for a while.
    """
    app_id = context.app_id(app)
    if dry_run:
        _show_preview(context, app_id, app, is_awaited=is_awaited)
        return
    name = context.client.get_app(app_id)["name"] if app == app_id else app
    if not is_sure:
        _ask_for(name)
    accepted = context.client.delete_app(app_id, confirm=name, purge=purge)
    job = context.finish(accepted, f"Removal of {name}", is_awaited=is_awaited)
    if job is not None:
        remains = (job["result"] or {}).get("remains", [])
        rows = [("", f"kept until {each['until'] or 'somebody deletes it'}", each["url"]) for each in remains]
        context.output.show(job, f"{name} was removed.\n{columns(rows, nothing='')}".rstrip())


def _ask_for(name: str) -> None:
    """Let a person type the app's name. Raises UsageError without a terminal, Abort for another name."""
    if not _has_terminal():
        raise click.UsageError(f"Nothing was removed: there is no terminal to confirm it. To remove {name}, add --yes.")
    text = f"{name} will be removed with its repositories and everything else that was created for it.\nType its name"
    if click.prompt(text, default="", show_default=False, err=True) != name:
        click.echo("This is another name. Nothing was removed.", err=True)
        raise click.Abort


def _has_terminal() -> bool:
    return sys.stdin.isatty()


def _show_preview(context: CommandContext, app_id: str, app: str, *, is_awaited: bool) -> None:
    preview = context.client.preview_removal(app_id)
    rows = [
        ("", word, item["kind"], item["url"] or item["name"], item["reason"])
        for word in ("goes", "stays")
        for item in preview[word]
    ]
    text = columns(rows, nothing="There is nothing to remove.")
    if not is_awaited or "job_id" not in preview:  # a server of an earlier version starts no job
        context.output.show(preview, text)
        return
    found = context.follow_job(preview["job_id"], f"Activity of {app}")["result"]["repositories"]
    worked = "\n".join(_activity(each) for each in found)
    context.output.show({**preview, "repositories": found}, f"{text}\n{worked}".rstrip())


def _activity(repository: Document) -> str:
    """Return what people did in a repository, as a line."""
    more = "more than " if repository["has_more"] else ""
    push = (
        f"last push {moment(repository['pushed_at'])} by {repository['pushed_by']}" if repository["pushed_at"] else ""
    )
    parts = [
        f"{more}{repository['commits']} commits that are not the template's",
        push or "no push",
        f"{repository['open_merge_requests']} open merge requests",
    ]
    return f"{repository['name']}: {', '.join(parts)}"

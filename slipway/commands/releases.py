"""Commands about releases: build, deploy, rollback, builds, deploys."""

from __future__ import annotations

from itertools import islice

import click

from slipway.commands import options
from slipway.commands.base import Command
from slipway.commands.context import CommandContext
from slipway.commands.options import awaited, limit, pass_context
from slipway.errors import Document
from slipway.text import columns, moment


@click.command(cls=Command)
@options.app
@click.option("--image-tag", metavar="TAG", help="The tag of the image (default: one that no other build has).")
@click.option("--branch", help="The branch to build (default: the repository's default branch).")
@awaited
@pass_context
def build(context: CommandContext, *, app: str, image_tag: str | None, branch: str | None, is_awaited: bool) -> None:
    """Start one build of an app on Jenkins."""
    accepted = context.client.start_build(context.app_id(app), image_tag=image_tag, branch=branch)
    job = context.finish(accepted, f"Build of {app}", is_awaited=is_awaited)
    if job is not None:
        made = job["result"]
        told = [f"Build {made['number']}: {made['url']}"]
        if made.get("image"):
            told.append(f"Image {made['image']}, commit {made.get('commit') or 'unknown'}")
        context.output.show(job, "\n".join(told))


@click.command(cls=Command)
@options.app
@click.option("--image-tag", metavar="TAG", help="The tag of the image (default: that of the newest successful build).")
@click.option("--revision", help="A branch, tag or commit of the helm repository.")
@click.option("--force", is_flag=True, help="Deploy the tag even if no build of this app has pushed it.")
@awaited
@pass_context
def deploy(
    context: CommandContext, *, app: str, image_tag: str | None, revision: str | None, force: bool, is_awaited: bool
) -> None:
    """Deploy a version of an app to its cluster.

    The job ends when the application is synced and healthy.
    """
    accepted = context.client.start_deploy(context.app_id(app), image_tag=image_tag, revision=revision, force=force)
    title = f"Deployment of {app}" + (f" {image_tag}" if image_tag else "")
    _show_deployed(context, context.finish(accepted, title, is_awaited=is_awaited))


@click.command(cls=Command)
@options.app
@click.option("--to", metavar="JOB", help="The deployment to go back to (default: the previous good version).")
@awaited
@pass_context
def rollback(context: CommandContext, app: str, to: str | None, is_awaited: bool) -> None:
    """Deploy the previous good version again, or an earlier one.

    `slipway deploys` lists the deployments with their jobs.
    """
    accepted = context.client.roll_back(context.app_id(app), to=to)
    _show_deployed(context, context.finish(accepted, f"Rollback of {app}", is_awaited=is_awaited))


def _show_deployed(context: CommandContext, job: Document | None) -> None:
    if job is not None:
        context.output.show(job, f"Running: {', '.join(job['result']['images'])}")


@click.command(cls=Command)
@options.app
@limit
@pass_context
def builds(context: CommandContext, app: str, limit: int) -> None:
    """List the builds of an app, newest first."""
    found = list(islice(context.client.list_builds(context.app_id(app), limit=min(limit, 100)), limit))
    rows = [
        (each["job_id"], each["state"], each.get("number"), each.get("image_tag"), moment(each["created_at"]))
        for each in found
    ]
    context.output.show(found, columns(rows, nothing="This app has no builds."))


@click.command(cls=Command)
@options.app
@limit
@pass_context
def deploys(context: CommandContext, app: str, limit: int) -> None:
    """List the deployments of an app, newest first."""
    found = list(islice(context.client.list_deploys(context.app_id(app), limit=min(limit, 100)), limit))
    rows = [
        (each["job_id"], each["state"], each["image_tag"], each["revision"], moment(each["created_at"]))
        for each in found
    ]
    context.output.show(found, columns(rows, nothing="This app has no deployments."))

"""slipway build, deploy, rollback, builds, deploys"""

from __future__ import annotations

from itertools import islice

import click

from slipway.commands import options
from slipway.commands.base import Command
from slipway.commands.context import Desk
from slipway.commands.options import awaited, limit, pass_desk
from slipway.errors import Document
from slipway.text import columns, moment


@click.command(cls=Command)
@options.app
@click.option("--image-tag", metavar="TAG", help="The tag of the image; the build's number by default.")
@click.option("--branch", help="What is built; the pipeline's own branch by default.")
@awaited
@pass_desk
def build(desk: Desk, *, app: str, image_tag: str | None, branch: str | None, is_awaited: bool) -> None:
    """Build an app on Jenkins, once."""
    accepted = desk.client.start_build(desk.app_id(app), image_tag=image_tag, branch=branch)
    job = desk.finish(accepted, f"Build of {app}", is_awaited=is_awaited)
    if job is not None:
        made = job["result"]
        desk.screen.show(job, f"Build {made['number']}: {made['url']}")


@click.command(cls=Command)
@options.app
@click.option("--image-tag", metavar="TAG", help="The tag of the image, such as a build's number.")
@click.option("--revision", help="A branch, tag or commit of the helm repository.")
@awaited
@pass_desk
def deploy(desk: Desk, *, app: str, image_tag: str | None, revision: str | None, is_awaited: bool) -> None:
    """Bring a version of an app onto its cluster.

    It is over when the application is synced and healthy.
    """
    accepted = desk.client.start_deploy(desk.app_id(app), image_tag=image_tag, revision=revision)
    title = f"Deployment of {app}" + (f" {image_tag}" if image_tag else "")
    _show_deployed(desk, desk.finish(accepted, title, is_awaited=is_awaited))


@click.command(cls=Command)
@options.app
@awaited
@pass_desk
def rollback(desk: Desk, app: str, is_awaited: bool) -> None:
    """Bring back the last good version before the newest one."""
    accepted = desk.client.roll_back(desk.app_id(app))
    _show_deployed(desk, desk.finish(accepted, f"Rollback of {app}", is_awaited=is_awaited))


def _show_deployed(desk: Desk, job: Document | None) -> None:
    if job is not None:
        desk.screen.show(job, f"It runs {', '.join(job['result']['images'])}")


@click.command(cls=Command)
@options.app
@limit
@pass_desk
def builds(desk: Desk, app: str, limit: int) -> None:
    """List the builds of an app, newest first."""
    found = list(islice(desk.client.list_builds(desk.app_id(app), limit=min(limit, 100)), limit))
    rows = [(each["job_id"], each["state"], each.get("number"), moment(each["created_at"])) for each in found]
    desk.screen.show(found, columns(rows, nothing="It was never built."))


@click.command(cls=Command)
@options.app
@limit
@pass_desk
def deploys(desk: Desk, app: str, limit: int) -> None:
    """List the deployments of an app, newest first."""
    found = list(islice(desk.client.list_deploys(desk.app_id(app), limit=min(limit, 100)), limit))
    rows = [
        (each["job_id"], each["state"], each["image_tag"], each["revision"], moment(each["created_at"]))
        for each in found
    ]
    desk.screen.show(found, columns(rows, nothing="It was never deployed."))

"""slipway jobs list, show, watch, log, retry, cancel, skip"""

from __future__ import annotations

import sys
from datetime import datetime
from itertools import islice

import click

from slipway.commands import options
from slipway.commands.base import Group
from slipway.commands.context import Desk
from slipway.commands.failures import job_lines
from slipway.commands.options import Since, awaited, limit, pass_desk, password_stdin, read_password
from slipway.errors import Document, JobFailedError, ProblemError
from slipway.progress import table
from slipway.text import columns, moment

STATES = ("queued", "running", "succeeded", "failed", "cancelling", "cancelled")


@click.group(cls=Group)
def jobs() -> None:
    """List, watch, retry, cancel jobs.

    A job is whatever takes a while. JOB is its id.
    """


@jobs.command("list")
@click.option("--state", type=click.Choice(STATES), help="Only those in this state.")
@click.option("--kind", help="Only those of this kind: signup, provision, build, deploy, …")
@click.option("--app", help="Only those of this app: its name or its id.")
@click.option("--user", metavar="ID", help="Only those that this person started.")
@click.option("--team", help="Those of another team, for administrators.")
@click.option("--since", type=Since(), help="Only those since a time, or since 90m, 12h, 7d ago.")
@limit
@pass_desk
def list_all(
    desk: Desk,
    /,
    *,
    app: str | None,
    since: datetime | None,
    limit: int,
    **which: str | None,
) -> None:
    """List the jobs of your team, newest first."""
    app_id = desk.app_id(app) if app is not None else None
    found = list(islice(desk.client.list_jobs(app_id=app_id, since=since, limit=min(limit, 100), **which), limit))
    rows = [(each["job_id"], each["kind"], each["state"], moment(each["created_at"])) for each in found]
    desk.screen.show(found, columns(rows, nothing="There is no such job."))


@jobs.command("show")
@options.job
@pass_desk
def show(desk: Desk, job_id: str) -> None:
    """Show a job as it is now.

    Its steps, what it waits for, what went wrong and what can be done.
    """
    job = desk.client.get_job(job_id)
    lines = [job["title"], *table(job)]
    lines += list(job_lines(job)) if job["state"] in ("failed", "cancelled") else []
    lines += [f"  {link['kind']}: {link['url']}" for link in job["links"]]
    desk.screen.show(job, "\n".join(lines))


@jobs.command("watch")
@options.job
@pass_desk
def watch(desk: Desk, job_id: str) -> None:
    """Follow a job until it is over.

    Ctrl-C ends the watching, not the job.
    """
    _show_end(desk, desk.stay_with(job_id, f"Job {job_id}"))


@jobs.command("log")
@options.job
@click.option("--follow", is_flag=True, help="Go on until the build is over.")
@pass_desk
def log(desk: Desk, job_id: str, follow: bool) -> None:
    """Print what a build printed.

    With --json, a document for each piece.
    """
    for piece in desk.client.read_whole_log(job_id, is_followed=follow):
        desk.screen.write(piece, piece["text"])


@jobs.command("retry")
@options.job
@password_stdin
@awaited
@pass_desk
def retry(desk: Desk, *, job_id: str, is_piped: bool, is_awaited: bool) -> None:
    """Try again what failed.

    The job keeps its id, and what was done stays done. A sign-up may need its password again: it is asked for,
    without an echo.
    """
    accepted = _retried(desk, job_id, is_piped=is_piped)
    job = desk.finish(accepted, f"Job {job_id}, again", is_awaited=is_awaited)
    if job is not None:
        _show_end(desk, job)


def _retried(desk: Desk, job_id: str, *, is_piped: bool) -> Document:
    if is_piped:
        return desk.client.retry_job(job_id, password=read_password(is_piped=True))
    try:
        return desk.client.retry_job(job_id)
    except ProblemError as problem:
        if problem.code != "password_needed" or not sys.stdin.isatty():
            raise
    return desk.client.retry_job(job_id, password=read_password(is_piped=False))


@jobs.command("cancel")
@options.job
@awaited
@pass_desk
def cancel(desk: Desk, job_id: str, is_awaited: bool) -> None:
    """Stop a job.

    It stops before its next step; a build that it started is stopped, too.
    """
    accepted = desk.client.cancel_job(job_id)
    try:
        job = desk.finish(accepted, f"Cancelling of job {job_id}", is_awaited=is_awaited)
    except JobFailedError as error:
        if error.job["state"] != "cancelled":
            raise
        job = error.job  # as it was asked to
    if job is not None:
        _show_end(desk, job)


@jobs.command("skip")
@options.job
@options.step
@click.option("--reason", required=True, help="Why; it is kept with the step.")
@awaited
@pass_desk
def skip(desk: Desk, *, job_id: str, step: str, reason: str, is_awaited: bool) -> None:
    """Let a failed job go on behind STEP.

    For administrators, and for steps that later ones do not need.
    """
    accepted = desk.client.skip_step(job_id, step, reason=reason)
    job = desk.finish(accepted, f"Job {job_id}, behind {step}", is_awaited=is_awaited)
    if job is not None:
        _show_end(desk, job)


def _show_end(desk: Desk, job: Document) -> None:
    desk.screen.show(
        job, f"The job {job['job_id']} {'was cancelled' if job['state'] == 'cancelled' else job['state']}."
    )

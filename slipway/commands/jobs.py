"""Commands about jobs: list, count, show, watch, log, retry, poll, cancel, skip."""

from __future__ import annotations

import sys
from datetime import datetime
from itertools import islice

import click

from slipway.commands import options
from slipway.commands.base import Group
from slipway.commands.context import CommandContext
from slipway.commands.failures import job_lines
from slipway.commands.options import Since, awaited, limit, pass_context, password_stdin, read_password
from slipway.errors import Document, JobFailedError, ProblemError, outcome_of
from slipway.progress import table
from slipway.text import columns, moment, plain

STATES = ("queued", "running", "succeeded", "failed", "cancelling", "cancelled")


@click.group(cls=Group)
def jobs() -> None:
    """List, watch, retry, cancel jobs.

    Everything that takes a while is a job. JOB is its id.
    """


@jobs.command("list")
@click.option(
    "--state", "states", type=click.Choice(STATES), multiple=True, help="Only jobs in this state; may be repeated."
)
@click.option("--kind", help="Only jobs of this kind: signup, provision, build, deploy, …")
@click.option("--app", help="Only jobs of this app: its name or its id.")
@click.option("--user", metavar="ID", help="Only jobs that this person started.")
@click.option("--team", help="Jobs of another team, or of all: '*'; for administrators.")
@click.option("--since", type=Since(), help="Only jobs since a time, or since 90m, 12h, 7d ago.")
@limit
@pass_context
def list_all(
    context: CommandContext,
    /,
    *,
    app: str | None,
    since: datetime | None,
    states: tuple[str, ...],
    limit: int,
    **which: str | None,
) -> None:
    """List the jobs of your team, newest first.

    Each with who started it and, if it has failed or waits, where and why.
    """
    app_id = context.app_id(app) if app is not None else None
    which["state"] = ",".join(dict.fromkeys(states)) or None
    found = list(islice(context.client.list_jobs(app_id=app_id, since=since, limit=min(limit, 100), **which), limit))
    context.output.show(found, columns([_row(each) for each in found], nothing="No job matches."))


def _row(job: Document) -> tuple[object, ...]:
    """Return a line of the list. A server of an older version does not say why a job has failed or waits."""
    obstacles = job.get("errors") or job.get("waiting_on") or []
    reason = (obstacles[0]["reason"] or "").partition("\n")[0] if obstacles else ""
    why = f"{obstacles[0]['upstream']}: {reason}" if obstacles else ""
    return job["job_id"], job["title"], job["state"], job["user"], moment(job["created_at"]), plain(why)


@jobs.command("count")
@click.option("--team", help="Jobs of another team, or of all: '*'; for administrators.")
@pass_context
def count(context: CommandContext, team: str | None) -> None:
    """Count the jobs of your team by kind and state."""
    found = context.client.count_jobs(team=team)
    rows = [(each["kind"], each["state"], f"{each['jobs']:,}{'+' if each['is_capped'] else ''}") for each in found]
    context.output.show(found, columns(rows, nothing="There are no jobs."))


@jobs.command("show")
@options.job
@pass_context
def show(context: CommandContext, job_id: str) -> None:
    """Show a job as it is now.

    Its steps, what it waits for, what failed and what to do about it.
    """
    job = context.client.get_job(job_id)
    lines = [job["title"], *table(job)]
    lines += list(job_lines(job)) if job["state"] in ("failed", "cancelled") else []
    lines += [f"  {_intervention(each)}" for each in job.get("interventions", ())]
    lines += [f"  {link['kind']}: {link['url']}" for link in job["links"]]
    context.output.show(job, "\n".join(lines))


def _intervention(shown: Document) -> str:
    what = " ".join(filter(None, (shown["action"].partition(".")[2].replace("_", " "), shown["step"])))
    who = shown["user"] or f"a {shown['channel']}"
    reason = f": {shown['reason']}" if shown["reason"] else ""
    return plain(f"{moment(shown['at'])}  {what} by {who}{reason}")


@jobs.command("watch")
@options.job
@pass_context
def watch(context: CommandContext, job_id: str) -> None:
    """Follow a job until it is over.

    Ctrl-C ends this command, not the job.
    """
    _show_end(context, context.follow_job(job_id, f"Job {job_id}"))


@jobs.command("log")
@options.job
@click.option("--follow", is_flag=True, help="Continue until the build ends.")
@pass_context
def log(context: CommandContext, job_id: str, follow: bool) -> None:
    """Print the console of a build.

    With --json, one document for each part.
    """
    for piece in context.client.read_whole_log(job_id, is_followed=follow):
        context.output.write(piece, piece["text"])


@jobs.command("retry")
@options.job
@password_stdin
@awaited
@pass_context
def retry(context: CommandContext, *, job_id: str, is_piped: bool, is_awaited: bool) -> None:
    """Run the failed steps of a job again.

    The job keeps its id, and steps that are done stay done. A sign-up may need its password again; it is asked for and
    not echoed.
    """
    accepted = _retried(context, job_id, is_piped=is_piped)
    job = context.finish(accepted, f"Retry of job {job_id}", is_awaited=is_awaited)
    if job is not None:
        _show_end(context, job)


def _retried(context: CommandContext, job_id: str, *, is_piped: bool) -> Document:
    if is_piped:
        return context.client.retry_job(job_id, password=read_password(is_piped=True))
    try:
        return context.client.retry_job(job_id)
    except ProblemError as problem:
        if problem.code != "password_needed" or not sys.stdin.isatty():
            raise
    return context.client.retry_job(job_id, password=read_password(is_piped=False))


@jobs.command("poll")
@options.job
@awaited
@pass_context
def poll(context: CommandContext, job_id: str, is_awaited: bool) -> None:
    """Poll now what a job waits for, instead of when it is due.

    For example after an outage: an attempt that is brought forward counts.
    """
    job = context.finish(context.client.poll_job(job_id), f"Job {job_id}", is_awaited=is_awaited)
    if job is not None:
        _show_end(context, job)


@jobs.command("cancel")
@options.job
@awaited
@pass_context
def cancel(context: CommandContext, job_id: str, is_awaited: bool) -> None:
    """Cancel a job.

    It stops before its next step; a build that it started is stopped, too.
    """
    accepted = context.client.cancel_job(job_id)
    try:
        job = context.finish(accepted, f"Cancellation of job {job_id}", is_awaited=is_awaited)
    except JobFailedError as error:
        if error.job["state"] != "cancelled":
            raise
        job = error.job  # as requested
    if job is not None:
        _show_end(context, job)


@jobs.command("skip")
@options.job
@options.step
@click.option("--reason", required=True, help="Why; it is recorded with the step.")
@awaited
@pass_context
def skip(context: CommandContext, *, job_id: str, step: str, reason: str, is_awaited: bool) -> None:
    """Continue a failed job after STEP.

    For administrators, and only for steps that no later step needs.
    """
    accepted = context.client.skip_step(job_id, step, reason=reason)
    job = context.finish(accepted, f"Job {job_id}, after {step}", is_awaited=is_awaited)
    if job is not None:
        _show_end(context, job)


def _show_end(context: CommandContext, job: Document) -> None:
    context.output.show(job, outcome_of(job))

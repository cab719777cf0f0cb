"""Commands for jobs: `flask --app api jobs stuck, cancel, retry, prune`."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import click
from sqlalchemy.orm import Session

from api.commands import advice, options
from api.commands.base import WRONG, Group, Refusal, as_json, confirm, dry_run, print_note, print_result, yes
from api.commands.options import DurationType, Pattern, Since, at_most, hint_at_more
from api.commands.prune import prune
from api.commands.text import number
from api.contract import validation
from api.service import service
from api.views import bulk_retry, interventions
from api.views.bulk_retry import NotRetried, RetryAll
from common.database.models import Job
from common.jobs import stuck
from common.jobs.interventions import NotPossibleError
from common.jobs.stuck import Patience
from common.workflows import WORKFLOWS

JOB = Pattern(validation.ID, "Use the job's id, such as 01a20680-c483-751f-9394-c54e28bf16d9.")
CODE = Pattern(re.compile(r"[a-z][a-z0-9_]{0,63}"), "Use a code such as rejected.")
PAGE = 100


@click.group(cls=Group)
def jobs() -> None:
    """Stuck, failed and old jobs.

    These commands need no broker: the workers find the changes in the database within seconds.
    """


jobs.add_command(prune)


@jobs.command("stuck")
@click.option(
    "--idle",
    type=DurationType(),
    default="15m",
    show_default=True,
    help="Report steps that are overdue for this long.",
)
@click.option(
    "--waiting",
    type=DurationType(),
    default="1h",
    show_default=True,
    help="Report steps that have waited for an upstream for this long.",
)
@at_most(50)
@as_json
def list_stuck(*, idle: timedelta, waiting: timedelta, limit: int, is_json: bool) -> None:
    """List open jobs that make no progress, and what to do.

    Exit code 1 if there are any.

    \b
    overdue    a step is due, but no worker has dispatched it
    unwatched  no worker will ever dispatch it
    unbegun    messages are sent repeatedly, but no worker starts the step
    held       its upstream has been down, paused or busy for a long time
    waiting    its upstream has not been ready for a long time
    endless    the job is open, but none of its steps can run
    """
    now, patience = service().db.now(), Patience(idle=idle, waiting=waiting)
    stuck_jobs = service().db.read(lambda session: stuck.find(session, patience, now, limit=limit))
    summary = [advice.lines(each, now) for each in stuck_jobs] or ["No job is stuck."]
    print_result(is_json, [advice.document(each, now) for each in stuck_jobs], "\n\n".join(summary))
    hint_at_more(stuck_jobs, limit)
    if stuck_jobs:
        click.get_current_context().exit(WRONG)


@jobs.command("cancel")
@click.argument("job_id", metavar="JOB", type=JOB)
@yes
@as_json
def cancel(job_id: str, *, is_confirmed: bool, is_json: bool) -> None:
    """Cancel a job before its next step, and stop its build.

    A cancelled job cannot be resumed.
    """
    confirm(f"Cancel the job {job_id}?", is_confirmed=is_confirmed)

    def work(session: Session) -> Job:
        job = session.get(Job, job_id)
        if job is None:
            raise Refusal(f"There is no job {job_id}.")
        return interventions.cancel(session, job)

    try:
        job = service().db.transaction(work)
    except NotPossibleError as refusal:
        raise Refusal(str(refusal)) from None
    print_result(is_json, {"job_id": job.id, "state": job.state.value}, f"The job is {job.state}.")


@jobs.command("retry")
@click.option("--kind", type=click.Choice(list(WORKFLOWS)), help="Only jobs of this kind.")
@click.option("--team", help="Only jobs of this team.")
@click.option("--app", help="Only jobs of this app (name or ID).")
@click.option("--user", metavar="ID", help="Only jobs that this user started.")
@click.option(
    "--code", type=CODE, help="Only jobs with a step that failed with this code: upstream_unavailable, rejected, …"
)
@click.option("--since", type=Since(), help="Only jobs created since a time, or since 90m, 12h, 7d ago.")
@click.option("--limit", type=click.IntRange(1), help="Maximum number of jobs, newest first.")
@dry_run
@yes
@as_json
def retry(*, limit: int | None, is_dry: bool, is_confirmed: bool, is_json: bool, **filters: Any) -> None:
    """Retry all failed jobs that match, newest first.

    Only the failed steps run again, with all their attempts. A job does not match if a newer job of its kind exists or
    if its app or user is gone. Removals of apps match only with `--kind deprovision`. Exit code 1 if some jobs were
    refused.
    """
    which = RetryAll.model_validate(_filters(**filters))
    if not is_dry:
        chosen = ", ".join(f"{name} {value}" for name, value in filters.items() if value is not None)
        confirm(f"Retry the failed jobs of {chosen or 'every team'}?", is_confirmed=is_confirmed)
    retried, refused = _retry(which.model_copy(update={"dry_run": is_dry}), limit)
    if not is_dry:
        counts = {"retried": len(retried), "refused": len(refused)}
        service().db.transaction(lambda session: bulk_retry.record(session, which, **counts))
    for each in refused:
        print_note(f"{each.job_id}: not retried ({each.code}): {each.reason}")
    summary = f"{number(len(retried), 'job')} {'would be retried' if is_dry else 'retried'}, {len(refused)} refused."
    document = {"dry_run": is_dry, "retried": retried, "refused": [each.model_dump() for each in refused]}
    print_result(is_json, document, "\n".join([*retried, summary]))
    if refused:
        click.get_current_context().exit(WRONG)


def _filters(
    *, kind: str | None, team: str | None, app: str | None, user: str | None, code: str | None, since: datetime | None
) -> dict[str, Any]:
    """Return the body of `POST /jobs/retry`. Raises Refusal if nothing can match."""

    def work(session: Session) -> dict[str, Any]:
        if user is not None:
            options.find_user(session, user)
        return {"app_id": options.app_id(session, app) if app is not None else None}

    named = service().db.read(work)
    team = options.known_team(team) if team is not None else None
    since_text = since.isoformat() if since is not None else None
    return {"kind": kind, "team": team, "user": user, "code": code, "since": since_text, **named}


def _retry(which: RetryAll, limit: int | None) -> tuple[list[str], list[NotRetried]]:
    """Return the ids of retried jobs, and the refused ones."""
    retried: list[str] = []
    refused: list[NotRetried] = []
    is_more = True
    while is_more and (limit is None or len(retried) + len(refused) < limit):
        left = PAGE if limit is None else limit - len(retried) - len(refused)
        which = which.model_copy(update={"limit": min(PAGE, left)})
        done, _lanes = bulk_retry.retry_matching(
            which, _retry_one
        )  # no messages are sent: the workers' clocks dispatch the jobs within seconds
        retried += [each.job_id for each in done.retried]
        refused += done.refused
        is_more, which = done.more, which.model_copy(update={"cursor": done.next})
    return retried, refused


def _retry_one(session: Session, job_id: str) -> Job:
    return interventions.retry_failed(session, session.get_one(Job, job_id))

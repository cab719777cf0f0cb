"""flask --app api jobs stuck, cancel, retry"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import click
from sqlalchemy.orm import Session

from api.commands import advice, options
from api.commands.base import WRONG, Group, Refusal, as_json, confirm, dry_run, print_note, print_result, yes
from api.commands.options import Pattern, Since, Span, at_most, hint_at_more
from api.commands.prune import prune
from api.commands.text import number
from api.contract import validation
from api.service import service
from api.views import bulk_retry
from api.views.bulk_retry import NotRetried, RetryAll
from api.views.interventions import retry_failed
from common.database.models import Job
from common.jobs import interventions, stuck
from common.jobs.interventions import NotPossibleError
from common.jobs.stuck import Patience
from common.workflows import WORKFLOWS

JOB = Pattern(validation.ID, "Use the job's id, such as 01a20680-c483-751f-9394-c54e28bf16d9.")
CODE = Pattern(re.compile(r"[a-z][a-z0-9_]{0,63}"), "Use a code such as rejected.")
PAGE = 100


@click.group(cls=Group)
def jobs() -> None:
    """Jobs that do not move, failed, or are over for long.

    What is begun here needs no broker: the workers find it in the database within seconds.
    """


jobs.add_command(prune)


@jobs.command("stuck")
@click.option(
    "--idle",
    type=Span(),
    default="15m",
    show_default=True,
    help="For how long something that should have moved has not.",
)
@click.option("--waiting", type=Span(), default="1h", show_default=True, help="For how long an upstream is waited for.")
@at_most(50)
@as_json
def list_stuck(*, idle: timedelta, waiting: timedelta, limit: int, is_json: bool) -> None:
    """List open jobs that do not move, why, and what to type. Exit 1: there are some.

    \b
    overdue    its time came, and no worker has looked
    unwatched  no worker will ever look at it
    unbegun    it is sent again and again, and no worker begins it
    held       its upstream is down, paused or busy for long
    waiting    its upstream is not ready for long
    endless    it is open, and no step of it can move
    """
    now, patience = service().db.now(), Patience(idle=idle, waiting=waiting)
    found = service().db.read(lambda session: stuck.find(session, patience, now, limit=limit))
    summary = [advice.lines(each, now) for each in found] or ["No job is stuck."]
    print_result(is_json, [advice.document(each, now) for each in found], "\n\n".join(summary))
    hint_at_more(found, limit)
    if found:
        click.get_current_context().exit(WRONG)


@jobs.command("cancel")
@click.argument("job_id", metavar="JOB", type=JOB)
@yes
@as_json
def cancel(job_id: str, *, is_confirmed: bool, is_json: bool) -> None:
    """Stop a job before its next step, and the build that it started. It cannot be taken up again."""
    confirm(f"Cancel the job {job_id}?", is_confirmed=is_confirmed)

    def work(session: Session) -> Job:
        if session.get(Job, job_id) is None:
            raise Refusal(f"There is no job {job_id}.")
        return interventions.cancel(session, job_id, service().db.now())

    try:
        job = service().db.transaction(work)
    except NotPossibleError as refusal:
        raise Refusal(str(refusal)) from None
    print_result(is_json, {"job_id": job.id, "state": job.state.value}, f"The job is {job.state}.")


@jobs.command("retry")
@click.option("--kind", type=click.Choice(list(WORKFLOWS)), help="Only those of this kind.")
@click.option("--team", help="Only those of this team.")
@click.option("--app", help="Only those of this app: its name or its id.")
@click.option("--user", metavar="ID", help="Only those that this person began.")
@click.option(
    "--code", type=CODE, help="Only those of which a step failed with this code: upstream_unavailable, rejected, …"
)
@click.option("--since", type=Since(), help="Only those made since a time, or since 90m, 12h, 7d ago.")
@click.option("--limit", type=click.IntRange(1), help="How many at most, newest first.")
@dry_run
@yes
@as_json
def retry(*, limit: int | None, is_dry: bool, is_confirmed: bool, is_json: bool, **filters: Any) -> None:
    """Take failed jobs up again: all that match, newest first.

    Exactly the failed steps run again, with all their attempts. What a newer job of its kind has overtaken does not
    match, nor does what is about an app or a person that is gone. Exit 1: some were refused.
    """
    which = RetryAll.model_validate(_filters(**filters))
    if not is_dry:
        said = ", ".join(f"{name} {value}" for name, value in filters.items() if value is not None)
        confirm(f"Retry the failed jobs of {said or 'every team'}?", is_confirmed=is_confirmed)
    retried, refused = _retry(which.model_copy(update={"dry_run": is_dry}), limit)
    for each in refused:
        print_note(f"{each.job_id}: not retried ({each.code}): {each.reason}")
    summary = f"{number(len(retried), 'job')} {'would go on' if is_dry else 'go on'}, {len(refused)} refused."
    document = {"dry_run": is_dry, "retried": retried, "refused": [each.model_dump() for each in refused]}
    print_result(is_json, document, "\n".join([*retried, summary]))
    if refused:
        click.get_current_context().exit(WRONG)


def _filters(
    *, kind: str | None, team: str | None, app: str | None, user: str | None, code: str | None, since: datetime | None
) -> dict[str, Any]:
    """Return the filter of `POST /jobs/retry`. Raises Refusal where nothing could ever match."""

    def work(session: Session) -> dict[str, Any]:
        if user is not None:
            options.find_user(session, user)
        return {"app_id": options.app_id(session, app) if app is not None else None}

    named = service().db.read(work)
    team = options.known_team(team) if team is not None else None
    since_text = since.isoformat() if since is not None else None
    return {"kind": kind, "team": team, "user": user, "code": code, "since": since_text, **named}


def _retry(which: RetryAll, limit: int | None) -> tuple[list[str], list[NotRetried]]:
    """Return the ids of those that go on, and those that were refused."""
    retried: list[str] = []
    refused: list[NotRetried] = []
    is_more = True
    while is_more and (limit is None or len(retried) + len(refused) < limit):
        left = PAGE if limit is None else limit - len(retried) - len(refused)
        which = which.model_copy(update={"limit": min(PAGE, left)})
        done, _lanes = bulk_retry.retry_matching(which, _retry_one)  # not sent: the clocks do, within seconds
        retried += [each.job_id for each in done.retried]
        refused += done.refused
        is_more, which = done.more, which.model_copy(update={"cursor": done.next})
    return retried, refused


def _retry_one(session: Session, job_id: str) -> Job:
    return retry_failed(session, session.get_one(Job, job_id))

"""flask --app api jobs stuck, cancel, retry"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import click
from sqlalchemy.orm import Session

from api.commands import advice, options
from api.commands.base import WRONG, Group, Refusal, as_json, dry_run, make_sure, note, say, yes
from api.commands.options import Matching, Since, Span, at_most, hint_at_more
from api.commands.prune import prune
from api.commands.text import number
from api.contract import validation
from api.service import service
from api.views import bulk_retry
from api.views.bulk_retry import NotRetried, RetryAll
from api.views.interventions import take_up
from common.database.models import Job
from common.jobs import interventions, stuck
from common.jobs.interventions import NotPossibleError
from common.jobs.stuck import Patience
from common.workflows import WORKFLOWS

JOB = Matching(validation.ID, "Use the job's id, such as 01a20680-c483-751f-9394-c54e28bf16d9.")
CODE = Matching(re.compile(r"[a-z][a-z0-9_]{0,63}"), "Use a code such as rejected.")
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
    told = [advice.lines(each, now) for each in found] or ["No job is stuck."]
    say(is_json, [advice.document(each, now) for each in found], "\n\n".join(told))
    hint_at_more(found, limit)
    if found:
        click.get_current_context().exit(WRONG)


@jobs.command("cancel")
@click.argument("job_id", metavar="JOB", type=JOB)
@yes
@as_json
def cancel(job_id: str, *, is_sure: bool, is_json: bool) -> None:
    """Stop a job before its next step, and the build that it started. It cannot be taken up again."""
    make_sure(f"Cancel the job {job_id}?", is_sure=is_sure)

    def work(session: Session) -> Job:
        if session.get(Job, job_id) is None:
            raise Refusal(f"There is no job {job_id}.")
        return interventions.cancel(session, job_id, service().db.now())

    try:
        job = service().db.transaction(work)
    except NotPossibleError as refusal:
        raise Refusal(str(refusal)) from None
    say(is_json, {"job_id": job.id, "state": job.state.value}, f"The job is {job.state}.")


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
def retry(*, limit: int | None, is_dry: bool, is_sure: bool, is_json: bool, **given: Any) -> None:
    """Take failed jobs up again: all that match, newest first.

    Exactly the failed steps run again, with all their attempts. What a newer job of its kind has overtaken does not
    match, nor does what is about an app or a person that is gone. Exit 1: some were refused.
    """
    which = RetryAll.model_validate(_narrowed(**given))
    if not is_dry:
        said = ", ".join(f"{name} {value}" for name, value in given.items() if value is not None)
        make_sure(f"Retry the failed jobs of {said or 'every team'}?", is_sure=is_sure)
    retried, refused = _retry(which.model_copy(update={"dry_run": is_dry}), limit)
    for each in refused:
        note(f"{each.job_id}: not retried ({each.code}): {each.reason}")
    told = f"{number(len(retried), 'job')} {'would go on' if is_dry else 'go on'}, {len(refused)} refused."
    document = {"dry_run": is_dry, "retried": retried, "refused": [each.model_dump() for each in refused]}
    say(is_json, document, "\n".join([*retried, told]))
    if refused:
        click.get_current_context().exit(WRONG)


def _narrowed(
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
        done, _lanes = bulk_retry.take_up_some(which, _take_up)  # not sent: the clocks do, within seconds
        retried += [each.job_id for each in done.retried]
        refused += done.refused
        is_more, which = done.more, which.model_copy(update={"cursor": done.next})
    return retried, refused


def _take_up(session: Session, job_id: str) -> Job:
    return take_up(session, session.get_one(Job, job_id))

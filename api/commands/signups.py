"""Commands for sign-ups that need approval: `flask --app api users signups, approve, reject`."""

from __future__ import annotations

import re
from collections.abc import Callable

import click
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.access import audit
from api.commands import options
from api.commands.base import Command, Refusal, as_json, print_result
from api.commands.options import Pattern, at_most, hint_at_more
from api.commands.text import columns, format_time
from api.service import service
from api.views.signups import shown
from common.audit import ActionKind
from common.database.models import Job, SignupReview
from common.jobs import signup_reviews
from common.jobs.interventions import NotPossibleError
from common.jobs.signup_reviews import Answered
from common.states import UNDECIDED, ReviewState

REASON = Pattern(re.compile(r".{3,400}", re.DOTALL), "Use 3 to 400 characters.")


@click.command("signups", cls=Command)
@click.option(
    "--state",
    type=click.Choice([state.value for state in ReviewState]),
    default=ReviewState.WAITING.value,
    show_default=True,
    help="Only sign-ups in this state.",
)
@at_most(1000)
@as_json
def list_signups(*, state: str, limit: int, is_json: bool) -> None:
    """List sign-ups that wait for approval, oldest first."""
    wanted = select(SignupReview).where(SignupReview.state == ReviewState(state)).order_by(SignupReview.id).limit(limit)
    found = service().db.read(lambda session: shown(session, session.scalars(wanted).all()))
    rows = [
        (each.id, each.team, each.email, each.name, f"until {format_time(each.expires_at)}", each.reason or "")
        for each in found
    ]
    listed = [each.model_dump(mode="json") for each in found]
    print_result(is_json, listed, columns(rows, nothing=f"No sign-up is {state}."))
    hint_at_more(found, limit)


@click.command("approve", cls=Command)
@click.argument("login", metavar="ID")
@as_json
def approve(login: str, is_json: bool) -> None:
    """Approve a sign-up: its job begins to create the accounts."""
    job_id = _decide(
        login,
        lambda session, review: signup_reviews.approve(session, review, by=None, now=service().db.now()),
        ActionKind.USER_APPROVE,
    )
    document = {"id": login, "job_id": job_id}
    print_result(is_json, document, f"The sign-up of {login} is approved. Its job is {job_id}.")


@click.command("reject", cls=Command)
@click.argument("login", metavar="ID")
@click.option("--reason", type=REASON, required=True, help="Shown to the person.")
@as_json
def reject(login: str, reason: str, is_json: bool) -> None:
    """Reject a sign-up: its job is cancelled.

    Its password is deleted. The person can sign up again with the same password.
    """
    _decide(
        login,
        lambda session, review: _rejected(session, review, reason),
        ActionKind.USER_REJECT,
        reason,
    )
    print_result(is_json, {"id": login}, f"The sign-up of {login} is rejected. Nothing was created.")


def _rejected(session: Session, review_id: str, reason: str) -> Answered:
    review = signup_reviews.reject(session, review_id, by=None, reason=reason, now=service().db.now())
    return Answered(session.get_one(Job, review.id), is_new=True)


def _decide(login: str, answer: Callable[[Session, str], Answered], kind: ActionKind, reason: str | None = None) -> str:
    """Answer the sign-up of a person that waits, and record that. Raises Refusal."""

    def work(session: Session) -> str:
        person = options.find_user(session, login)
        waits = (SignupReview.user_id == person.id, SignupReview.state.in_(sorted(UNDECIDED)))
        review_id = session.scalar(select(SignupReview.id).where(*waits).limit(1))
        if review_id is None:
            raise Refusal(f"No sign-up of {login} waits. To list those that do: flask --app api users signups")
        job, is_new = answer(session, review_id)
        audit.record_if(is_new, session, kind, person, reason=reason)
        return job.id

    try:
        return service().db.transaction(work)
    except NotPossibleError as refusal:
        raise Refusal(str(refusal)) from None

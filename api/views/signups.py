"""Sign-ups that wait, or waited, for an administrator: list, approve, reject."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated

from flask import Blueprint
from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.access import audit, auth
from api.contract import accounts, pagination, validation
from api.contract.endpoint import Answer, Policy, RequestBody, ResponseBody
from api.contract.pagination import Page, PageBody
from api.contract.problems import Problem
from api.service import service
from api.serving.accepted import JobAccepted, accepted
from api.serving.idempotency import once
from api.serving.routing import route
from common.audit import ActionKind
from common.database.models import Job, SignupReview, User
from common.jobs import lane_messages, signup_reviews
from common.jobs.interventions import NotPossibleError
from common.states import ReviewState

blueprint = Blueprint("signups", __name__)


class SignupPage(Page):
    """The page of a list of sign-ups to return, newest first."""

    state: Annotated[ReviewState, Field(description="Only sign-ups in this state.")] = ReviewState.WAITING


class SignupShown(ResponseBody):
    """A sign-up and the answer to it. `signup_id` is the ID of its job, `id` the login that the person wants.

    One that waits is cancelled at `expires_at`. `decided_by` is null if the answer was a command's, or nobody's.
    """

    signup_id: str
    id: str
    email: str
    name: str
    team: str
    is_invited: bool
    state: ReviewState
    created_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    decided_by: str | None
    reason: str | None


class Signups(PageBody):
    """A page of sign-ups."""

    signups: list[SignupShown]


class Approve(RequestBody):
    """An empty object."""


class Reject(RequestBody):
    """`reason` is shown to the person."""

    reason: Annotated[str, Field(min_length=3, max_length=400)]


@route(blueprint, "GET", "/signups", policy=Policy.ADMIN, query=SignupPage, answers={200: Signups})
def list_signups(query: SignupPage) -> Answer:
    """List the sign-ups that wait for approval, newest first.

    With `state`, those that were answered. The list is empty where sign-ups need no approval.
    """

    def work(session: Session) -> Signups:
        page = pagination.read(session, SignupReview, query, {"state": query.state.value})
        return Signups(signups=shown(session, page.rows), **page.fields)

    return Answer(body=service().db.read(work))


@route(
    blueprint,
    "POST",
    "/signups/<signup_id>/approve",
    policy=Policy.ADMIN,
    takes=Approve,
    answers={202: JobAccepted},
    raises=("not_waiting",),
)
def approve_signup(signup_id: str, body: Approve) -> Answer:  # noqa: ARG001 - an empty body is still checked
    """Approve a sign-up.

    Its job begins to create the accounts. Approving it twice changes nothing.
    """
    admin = auth.require_user()

    def work(session: Session) -> Answer:
        _require(session, signup_id)
        job, is_new = signup_reviews.approve(session, signup_id, by=admin.id, now=service().db.now())
        person = session.get_one(User, job.subject_id)
        audit.record_if(is_new, session, ActionKind.USER_APPROVE, person, job=job)
        return accepted(job, lanes=lane_messages.of_resumed_job(session, job))

    return _decide(work)


@route(
    blueprint,
    "POST",
    "/signups/<signup_id>/reject",
    policy=Policy.ADMIN,
    takes=Reject,
    answers={200: SignupShown},
    raises=("not_waiting",),
)
def reject_signup(signup_id: str, body: Reject) -> Answer:
    """Reject a sign-up.

    Its job is cancelled, its password is deleted, and nothing was created. The person can sign up again with the same
    password.
    """
    admin = auth.require_user()

    def work(session: Session) -> Answer:
        _require(session, signup_id)
        review = signup_reviews.reject(session, signup_id, by=admin.id, reason=body.reason, now=service().db.now())
        session.flush()
        record(session, ActionKind.USER_REJECT, session.get_one(Job, signup_id), reason=body.reason)
        return Answer(body=shown(session, [review])[0])

    return _decide(work)


def shown(session: Session, reviews: Sequence[SignupReview]) -> list[SignupShown]:
    """Return the entries of these reviews; names are as they were signed up with, whoever has them now."""
    jobs = {job.id: job for job in session.scalars(select(Job).where(Job.id.in_([each.id for each in reviews])))}
    people = {
        user.id: user for user in session.scalars(select(User).where(User.id.in_([each.user_id for each in reviews])))
    }
    administrators = accounts.logins(session, (each.decided_by for each in reviews))
    return [
        SignupShown(
            signup_id=each.id,
            id=jobs[each.id].input["login"],
            email=jobs[each.id].input["email"],
            name=jobs[each.id].input["name"],
            team=jobs[each.id].team_id,
            is_invited=people[each.user_id].invite_id is not None,
            state=each.state,
            created_at=each.created_at,
            expires_at=each.expires_at,
            decided_at=each.decided_at,
            decided_by=administrators.get(each.decided_by),
            reason=each.reason,
        )
        for each in reviews
    ]


def record(session: Session, kind: ActionKind, job: Job, *, reason: str | None = None) -> None:
    """Record the answer to a sign-up, whose job this is."""
    audit.record(session, kind, session.get_one(User, job.subject_id), job=job, reason=reason)


def _require(session: Session, signup_id: str) -> None:
    if not validation.ID.fullmatch(signup_id) or session.get(SignupReview, signup_id) is None:
        raise Problem("not_found")


def _decide(work: Callable[[Session], Answer]) -> Answer:
    try:
        return once(work)
    except NotPossibleError as error:
        raise Problem(error.code, str(error)) from None

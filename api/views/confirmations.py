"""Confirmation of the e-mail address of a new sign-up, by the link in a mail."""

from __future__ import annotations

from typing import Annotated

from flask import Blueprint
from pydantic import Field
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from api.access import audit, rate_limits
from api.contract import validation
from api.contract.endpoint import Answer, Policy, RequestBody
from api.contract.fields import Email
from api.contract.problems import Problem
from api.service import service
from api.serving.accepted import JobAccepted, accepted
from api.serving.idempotency import once
from api.serving.routing import route
from common.audit import ActionKind
from common.database.models import SignupReview, User
from common.jobs import lane_messages, outbox, signup_reviews
from common.jobs.interventions import NotPossibleError
from common.states import ReviewState

blueprint = Blueprint("confirmations", __name__)


class LinkToken(RequestBody):
    """`token` is what follows the # in the link."""

    token: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{20,64}$", repr=False)]


class Resend(RequestBody):
    """The e-mail address of a sign-up."""

    email: Email


@route(
    blueprint,
    "POST",
    "/signups/confirm",
    policy=Policy.PUBLIC,
    takes=LinkToken,
    answers={202: JobAccepted},
    raises=("invalid_link", "too_many_requests"),
)
def confirm_signup(body: LinkToken) -> Answer:
    """Confirm the e-mail address of a sign-up.

    Its job goes on, or waits for an administrator. A link expires after 24 hours, or when another is sent. Confirming
    twice changes nothing.
    """
    rate_limits.limit_confirmations()

    def work(session: Session) -> Answer:
        job, is_new = signup_reviews.confirm(session, body.token, service().settings, service().db.now())
        person = session.get_one(User, job.subject_id)
        audit.record_if(is_new, session, ActionKind.USER_CONFIRM, person, by=person, job=job)
        return accepted(job, lanes=lane_messages.of_resumed_job(session, job))

    try:
        return once(work)
    except NotPossibleError as error:
        raise Problem("invalid_link", str(error)) from None


@route(
    blueprint,
    "POST",
    "/signups/resend",
    policy=Policy.PUBLIC,
    takes=Resend,
    answers={204: None},
    raises=("too_many_requests",),
)
def resend_confirmation(body: Resend) -> Answer:
    """Send the mail with the link again.

    The answer is the same whether or not a sign-up with this address waits for its confirmation. An earlier link is
    invalid once the mail is sent.
    """
    if problems := validation.email_problems(body.email):
        raise Problem("invalid_fields", errors=problems)
    rate_limits.limit_mails(body.email)

    def work(session: Session) -> Answer:
        _put(session, body.email.lower())
        return Answer(status=204)

    try:
        return once(work)
    except IntegrityError:  # another request has asked for it at the same time
        return Answer(status=204)


def _put(session: Session, email: str) -> None:
    is_awaited = (User.email == email, SignupReview.state == ReviewState.UNCONFIRMED)
    found = session.execute(
        select(SignupReview.user_id, SignupReview.created_at)
        .join(User, User.id == SignupReview.user_id)
        .where(*is_awaited)
        .limit(1)
    ).one_or_none()
    audit.nothing_done()  # the answer is the same whether or not there is somebody to send a mail to
    if found is not None:
        audit.record(session, ActionKind.USER_RESEND_MAIL, session.get_one(User, found.user_id))
        ends_at = found.created_at + signup_reviews.UNCONFIRMED_FOR
        outbox.put(session, found.user_id, outbox.CONFIRM_SIGNUP, now=service().db.now(), expires_at=ends_at)

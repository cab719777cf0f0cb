"""Passwords: people change their own, or set a new one with a one-time code, of an administrator or from a mail.

Our own log-in has the new password at once; a job sets it on the accounts that were made on upstreams.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from flask import Blueprint
from pydantic import Field
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from api.access import audit, auth, rate_limits
from api.contract import validation
from api.contract.endpoint import Answer, Policy, RequestBody, ResponseBody
from api.contract.fields import Email, NewPassword
from api.contract.problems import FieldError, Problem
from api.service import service
from api.serving.accepted import JobAccepted, accepted
from api.serving.idempotency import once
from api.serving.routing import route
from api.views import person_jobs
from common.audit import ActionKind
from common.database.models import Job, PasswordReset, User
from common.jobs import outbox, reset_codes
from common.states import OPEN
from common.vault import sealed_passwords
from common.workflows import CHANGE_PASSWORD

blueprint = Blueprint("passwords", __name__)


class PasswordChange(RequestBody):
    """`password` is the present one."""

    password: Annotated[str, Field(max_length=256, repr=False)]
    new_password: NewPassword


class ResetCode(ResponseBody):
    """The one-time code, shown here only. Give it to the person; it is valid until `expires_at`."""

    reset_code: str
    expires_at: datetime


class ForgottenPassword(RequestBody):
    """The e-mail address of an account."""

    email: Email


class NewPasswordByCode(RequestBody):
    """A person's login, the code from an administrator, and the new password."""

    id: Annotated[str, Field(max_length=64)]
    reset_code: Annotated[str, Field(max_length=64, repr=False)]
    password: NewPassword


@route(
    blueprint,
    "PUT",
    "/me/password",
    policy=Policy.MEMBER,
    takes=PasswordChange,
    answers={202: JobAccepted},
    raises=("invalid_credentials", "busy", "too_many_requests"),
)
def change_password(body: PasswordChange) -> Answer:
    """Change your password.

    You log in with the new password from now on, and all your other sessions end; API tokens stay. A job sets it on
    GitLab, Jenkins and Kibana, on the accounts that Slipway created.
    """
    user, passwords = auth.require_user(), service().passwords
    with rate_limits.limit_password_attempts(user.login):
        if not passwords.is_right(body.password, user.password_hash):
            audit.record_refused_log_in(user, "invalid_credentials")
            raise Problem("invalid_credentials", "The present password is wrong.")
    _require_good(user, body.new_password, field="new_password")
    password_hash, current = passwords.hash(body.new_password), auth.token_hash()

    def work(session: Session) -> Answer:
        person = session.get_one(User, user.id, with_for_update=True, populate_existing=True)
        if person.left_at is not None or person.password_hash != user.password_hash:
            raise Problem("invalid_credentials", "The password was changed by another request.")
        job = _begin(session, person, password=body.new_password, password_hash=password_hash)
        auth.end_sessions_of(session, person, but=current)
        audit.record(session, ActionKind.PASSWORD_CHANGE, person, job=job)
        return accepted(job)

    return once(work)


@route(
    blueprint,
    "POST",
    "/users/<login>/password-reset",
    policy=Policy.ADMIN,
    answers={201: ResetCode},
    name="reset_password",
)
def create_reset(login: str) -> Answer:
    """Create a one-time code for a person who has forgotten the password.

    It replaces an earlier code and is valid for one hour. The person sends it with a new password.
    """
    if not validation.NAME.fullmatch(login):
        raise Problem("not_found")

    def work(session: Session) -> Answer:
        person = session.scalar(select(User).where(User.login == login, User.left_at.is_(None)))
        if person is None:
            raise Problem("not_found")
        code, expires_at = reset_codes.create(session, person, service().db.now())
        after = {"expires_at": expires_at.isoformat()}
        audit.record(session, ActionKind.PASSWORD_RESET_CODE, person, after=after)
        return Answer(body=ResetCode(reset_code=code, expires_at=expires_at), status=201)

    return once(work)


@route(
    blueprint,
    "POST",
    "/password-resets",
    policy=Policy.PUBLIC,
    takes=ForgottenPassword,
    answers={204: None},
    raises=("too_many_requests",),
)
def request_reset(body: ForgottenPassword) -> Answer:
    """Have a one-time code mailed to you.

    It replaces an earlier code and is valid for one hour. The answer is the same whether or not there is an account: a
    code is mailed if the address was confirmed at sign-up. Administrators get their codes from another administrator.
    """
    if problems := validation.email_problems(body.email):
        raise Problem("invalid_fields", errors=problems)
    rate_limits.limit_mails(body.email)

    def work(session: Session) -> Answer:
        audit.nothing_done()  # the answer is the same whether or not there is somebody to send a mail to
        person = session.scalar(select(User).where(User.email == body.email.lower()))
        if person is not None and reset_codes.is_mailed_to(person):
            now = service().db.now()
            outbox.put(session, person.id, outbox.RESET_PASSWORD, now=now, expires_at=now + reset_codes.CODE_LIVES)
            audit.record(session, ActionKind.PASSWORD_REQUEST_CODE, person)
        return Answer(status=204)

    try:
        return once(work)
    except IntegrityError:  # another request has asked for it at the same time
        return Answer(status=204)


@route(
    blueprint,
    "POST",
    "/password-resets/confirm",
    policy=Policy.PUBLIC,
    takes=NewPasswordByCode,
    answers={202: JobAccepted},
    raises=("invalid_code", "busy", "too_many_requests"),
)
def confirm_reset(body: NewPasswordByCode) -> Answer:
    """Set a new password with a one-time code.

    As a change of the password; all sessions end and all API tokens are revoked. A refusal takes the same time whether
    or not the user exists.
    """
    with rate_limits.limit_password_attempts(body.id):
        user = _find_by_code(body)
    _require_good(user, body.password, field="password")
    password_hash = service().passwords.hash(
        body.password
    )  # after the limit: a hash is work that strangers could cause

    def work(session: Session) -> Answer:
        person = session.get_one(User, user.id, with_for_update=True, populate_existing=True)
        reset = session.get(PasswordReset, user.id)
        if person.left_at is not None or reset is None or reset.code_hash != reset_codes.hash_of(body.reset_code):
            raise Problem("invalid_code")
        session.delete(reset)
        job = _begin(session, person, password=body.password, password_hash=password_hash)
        auth.end_sessions_of(session, person)
        auth.revoke_tokens_of(session, person)
        audit.record(session, ActionKind.PASSWORD_RESET, person, by=person, job=job)
        return accepted(job)

    return once(work)


def _find_by_code(body: NewPasswordByCode) -> User:
    """Return the person to whom the code belongs. Raises Problem `invalid_code`."""
    now, found = service().db.now(), None
    if validation.NAME.fullmatch(body.id):
        found = service().db.read(
            lambda session: session.scalar(
                select(User)
                .join(PasswordReset, PasswordReset.user_id == User.id)
                .where(
                    User.login == body.id,
                    User.left_at.is_(None),
                    PasswordReset.code_hash == reset_codes.hash_of(body.reset_code),
                    PasswordReset.expires_at > now,
                )
            )
        )
    if found is None:
        service().passwords.is_right(body.password, None)  # as much work as for a right code
        audit.record_refused_log_in(None, "invalid_code")
        raise Problem("invalid_code")
    return found


def _require_good(person: User, password: str, *, field: str) -> None:
    """Raises Problem `invalid_fields` for a password that an upstream would refuse."""
    problems = validation.password_problems(password, login=person.login, email=person.email, name=person.name)
    if problems:
        errors = [FieldError(field=field, code=each.code, message=each.message) for each in problems]
        raise Problem("invalid_fields", errors=errors)


def _begin(session: Session, person: User, *, password: str, password_hash: str) -> Job:
    """Change our own log-in, and accept the job that changes the others. Raises Problem `busy`.

    Jobs that failed earlier must not set what is the former password by now: they lose it.
    """
    jobs = session.execute(select(Job.id, Job.kind, Job.state).where(Job.subject_id == person.id)).all()
    for job in jobs:
        if job.state in OPEN:
            raise Problem("busy", f"The job {job.kind} of this person is still running.", job_id=job.id)
    sealed_passwords.wipe(session, [job.id for job in jobs])
    person.password_hash = password_hash
    return person_jobs.accept(session, CHANGE_PASSWORD, person, password=password)

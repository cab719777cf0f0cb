"""Login, logout and the current user."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from flask import Blueprint
from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.http import dump_cookie

from api import credentials
from api.access import admission, audit, auth, rate_limits
from api.contract import validation
from api.contract.endpoint import Answer, Policy, RequestBody, ResponseBody
from api.contract.problems import Problem
from api.service import service
from api.serving.idempotency import once
from api.serving.routing import route
from common.audit import ActionKind, Channel
from common.database.models import User

blueprint = Blueprint("login", __name__)


class Credentials(RequestBody):
    """The login and password of an account."""

    id: Annotated[str, Field(max_length=64)]
    password: Annotated[str, Field(max_length=256, repr=False)]


class Person(ResponseBody):
    """A user account. `id` is the login."""

    id: str
    email: str
    name: str
    team: str
    is_admin: bool


class LoggedIn(ResponseBody):
    """Send `token` as `Authorization: Bearer`. It expires at `expires_at`, or after two idle hours."""

    token: str
    expires_at: datetime
    user: Person


@route(
    blueprint,
    "POST",
    "/Login",
    policy=Policy.PUBLIC,
    takes=Credentials,
    answers={201: LoggedIn},
    raises=("invalid_credentials", "account_closed", "signup_unfinished", "too_many_requests"),
    name="log_in_as_published",
)
@route(
    blueprint,
    "POST",
    "/login",
    policy=Policy.PUBLIC,
    takes=Credentials,
    answers={201: LoggedIn},
    raises=("invalid_credentials", "account_closed", "signup_unfinished", "too_many_requests"),
)
def log_in(body: Credentials) -> Answer:
    """Log in.

    Returns a token for `Authorization: Bearer`, and also sets it as a cookie. A refusal takes the same time whether or
    not the user exists. Nobody can log in before the job of their sign-up has succeeded: the right password is then
    answered with `signup_unfinished` and the ID of that job.
    """
    with rate_limits.limit_password_attempts(body.id):
        user = _authenticate(body)
        _require_admission(user)  # within the limit: anybody can sign up, and cause hashes by the right password
    return once(lambda session: _begin(session, user))


@route(blueprint, "POST", "/logout", policy=Policy.HOLDER, answers={204: None})
def log_out() -> Answer:
    """Log out.

    The token becomes invalid, in the header and in the cookie if there are both. Sending a token that is already
    invalid is not an error.
    """
    token_hashes, had_cookie = auth.tokens_to_end()
    if token_hashes:
        service().db.repeatable(lambda session: _end(session, token_hashes))
    return Answer(status=204, headers={"Set-Cookie": _cookie("", None)} if had_cookie else {})


@route(blueprint, "GET", "/me", policy=Policy.MEMBER, answers={200: Person})
def who_am_i() -> Answer:
    """Show the current user."""
    return Answer(body=_person(auth.require_user()))


def _end(session: Session, token_hashes: list[str]) -> None:
    users = auth.users_of_sessions(session, token_hashes)
    for user in users:
        audit.record(session, ActionKind.USER_LOG_OUT, user, by=user, channel=Channel.SESSION)
    session.flush()
    if users:
        auth.end_sessions(session, token_hashes)


def _begin(session: Session, user: User) -> Answer:
    admission.admit(session, user)
    audit.record(session, ActionKind.USER_LOG_IN, user, by=user)
    token, ends_at = auth.begin_session(session, user, service().db.now())
    logged_in = LoggedIn(token=token, expires_at=ends_at, user=_person(user))
    cookie = {"Set-Cookie": _cookie(token, ends_at)}
    return Answer(body=logged_in, status=201, headers=cookie, credential=credentials.hash_of(token))


def _authenticate(body: Credentials) -> User:
    user = _find(body.id)
    is_right = service().passwords.is_right(body.password, user.password_hash if user else None)
    if user is None or not is_right:
        audit.record_refused_log_in(user, "invalid_credentials")
        raise Problem("invalid_credentials")
    return user


def _require_admission(user: User) -> None:
    try:
        admission.require_admission(user)
    except Problem as refusal:
        audit.record_refused_log_in(user, refusal.code)
        raise


def _find(login: str) -> User | None:
    if not validation.NAME.fullmatch(login):  # to MariaDB, `ada ` equals `ada`, and `adá` is an error
        return None
    return service().db.read(lambda session: session.scalar(select(User).where(User.login == login)))


def _person(user: User) -> Person:
    return Person(id=user.login, email=user.email, name=user.name, team=user.team_id, is_admin=user.is_admin)


def _cookie(token: str, ends_at: datetime | None) -> str:
    return dump_cookie(
        auth.cookie_name(),
        token,
        expires=ends_at or 0,
        path=auth.cookie_path(),
        httponly=True,
        secure=service().settings.cookie_secure,
        samesite="Strict",
    )

"""How does a person log in and out, and who are they?"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from flask import Blueprint
from pydantic import Field
from sqlalchemy import select
from werkzeug.http import dump_cookie

from api import auth, rules
from api.problems import Problem
from api.routes import Answer, Body, Policy, Result, route
from api.service import service
from common.models import User

blueprint = Blueprint("login", __name__)


class Credentials(Body):
    id: Annotated[str, Field(max_length=64)]
    password: Annotated[str, Field(max_length=256, repr=False)]


class Person(Result):
    id: str
    email: str
    name: str
    team: str
    is_admin: bool


class LoggedIn(Result):
    """`token` goes into `Authorization: Bearer`; it ends at `expires_at`, or after two idle hours."""

    token: str
    expires_at: datetime
    user: Person


@route(blueprint, "POST", "/Login", policy=Policy.PUBLIC, takes=Credentials, answers={201: LoggedIn})
@route(blueprint, "POST", "/login", policy=Policy.PUBLIC, takes=Credentials, answers={201: LoggedIn})
def log_in(body: Credentials) -> Answer:
    """Anyone. 201 token and user, cookie set · 401, in the same time whether the user exists or not."""
    db = service().db
    user = _find(body.id)
    is_right = service().passwords.is_right(body.password, user.password_hash if user else None)
    if user is None or not is_right:
        raise Problem("invalid_credentials")
    token, ends_at = db.transaction(lambda session: auth.begin_session(session, user, db.now()))
    logged_in = LoggedIn(token=token, expires_at=ends_at, user=_person(user))
    return Answer(body=logged_in, status=201, headers={"Set-Cookie": _cookie(token, ends_at)})


@route(blueprint, "POST", "/logout", policy=Policy.MEMBER, answers={204: None})
def log_out() -> Answer:
    """Whoever is logged in. 204, and the token is worth nothing any more."""
    auth.end_session()
    return Answer(status=204, headers={"Set-Cookie": _cookie("", None)})


@route(blueprint, "GET", "/me", policy=Policy.MEMBER, answers={200: Person})
def who_am_i() -> Answer:
    """Whoever is logged in. 200 their account."""
    return Answer(body=_person(auth.require_user()))


def _find(login: str) -> User | None:
    if not rules.NAME.fullmatch(login):  # MariaDB takes `ada ` for `ada`, and an error for an answer to `adá`
        return None
    return service().db.read(
        lambda session: session.scalar(select(User).where(User.login == login, User.left_at.is_(None)))
    )


def _person(user: User) -> Person:
    return Person(id=user.login, email=user.email, name=user.name, team=user.team_id, is_admin=user.is_admin)


def _cookie(token: str, ends_at: datetime | None) -> str:
    return dump_cookie(
        auth.cookie_name(),
        token,
        expires=ends_at or 0,
        httponly=True,
        secure=service().settings.cookie_secure,
        samesite="Strict",
    )

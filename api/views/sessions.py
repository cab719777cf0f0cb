"""A person's own sessions: list and end them."""

from __future__ import annotations

from datetime import datetime

from flask import Blueprint
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from api import credentials
from api.access import audit, auth
from api.contract.endpoint import Answer, Policy, ResponseBody
from api.contract.problems import Problem
from api.service import service
from api.serving.idempotency import once
from api.serving.routing import route
from common.audit import ActionKind, Subject
from common.database.models import LoginSession

blueprint = Blueprint("sessions", __name__)

SESSIONS_AT_MOST = 100  # in the list, the newest first
ID_CHARACTERS = 32


class SessionShown(ResponseBody):
    """A session of yours. `address` and `user_agent` are those of its login. `current` is the one of this request."""

    session_id: str
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    address: str | None
    user_agent: str | None
    current: bool


class Sessions(ResponseBody):
    """Your sessions, the newest first."""

    sessions: list[SessionShown]


class SessionsEnded(ResponseBody):
    """How many sessions have ended."""

    ended: int


@route(blueprint, "GET", "/me/sessions", policy=Policy.MEMBER, answers={200: Sessions})
def list_sessions() -> Answer:
    """List your sessions, newest first.

    A session begins with each login. `last_used_at` is correct to the minute.
    """
    user_id, current, now = auth.require_user().id, auth.token_hash(), service().db.now()
    is_mine = (LoginSession.user_id == user_id, *credentials.is_valid_session(now))
    statement = select(LoginSession).where(*is_mine).order_by(LoginSession.created_at.desc()).limit(SESSIONS_AT_MOST)
    rows = service().db.read(lambda session: session.scalars(statement).all())
    return Answer(body=Sessions(sessions=[_shown(row, current) for row in rows]))


@route(blueprint, "DELETE", "/me/sessions/<session_id>", policy=Policy.MEMBER, answers={204: None})
def end_session(session_id: str) -> Answer:
    """End one of your sessions.

    Its token becomes invalid at once, and its event streams end within seconds.
    """
    user_id = auth.require_user().id

    def work(session: Session) -> Answer:
        hashes = session.scalars(select(LoginSession.token_hash).where(LoginSession.user_id == user_id))
        wanted = next((each for each in hashes if _id_of(each) == session_id), None)
        if wanted is None:
            raise Problem("not_found")
        session.execute(delete(LoginSession).where(LoginSession.token_hash == wanted))
        audit.record(session, ActionKind.SESSION_END, Subject(kind="session", id=session_id))
        return Answer(status=204)

    return once(work)


@route(blueprint, "DELETE", "/me/sessions", policy=Policy.MEMBER, answers={200: SessionsEnded})
def end_other_sessions() -> Answer:
    """End all your other sessions.

    The session of this request goes on.
    """
    user, current = auth.require_user(), auth.token_hash()

    def work(session: Session) -> Answer:
        ended = auth.end_sessions_of(session, user, but=current)
        audit.record(session, ActionKind.SESSION_END_OTHERS, user, after={"ended": ended})
        return Answer(body=SessionsEnded(ended=ended))

    return once(work)


def _shown(row: LoginSession, current: str | None) -> SessionShown:
    return SessionShown(
        session_id=_id_of(row.token_hash),
        created_at=row.created_at,
        last_used_at=row.last_seen_at,
        expires_at=row.expires_at,
        address=row.address,
        user_agent=row.user_agent,
        current=row.token_hash == current,
    )


def _id_of(token_hash: str) -> str:
    """Return the public id of a session: half a hash of 256 random bits tells nothing of the token."""
    return token_hash[:ID_CHARACTERS]

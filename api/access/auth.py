"""Who is asking?  Opaque tokens, stored as their SHA-256, that end after 2 idle hours or 12 hours in all."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, cast

from flask import g, request
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from api.contract.problems import Problem
from api.service import service
from common.database.models import LoginSession, User

IDLE_LIMIT = timedelta(hours=2)
MAX_AGE = timedelta(hours=12)
TOUCH_EVERY = timedelta(minutes=1)
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def begin_session(session: Session, user: User, now: datetime) -> tuple[str, datetime]:
    """Return a new token and when it ends at the latest."""
    token = secrets.token_urlsafe(32)
    ends_at = now + MAX_AGE
    session.add(
        LoginSession(token_hash=_hash(token), user_id=user.id, created_at=now, last_seen_at=now, expires_at=ends_at)
    )
    return token, ends_at


def end_session() -> None:
    """Forget the token of this request, wherever it was sent."""
    token = _token()
    if token is not None:
        service().db.transaction(
            lambda session: session.execute(delete(LoginSession).where(LoginSession.token_hash == _hash(token)))
        )


def end_sessions_of(session: Session, user: User) -> int:
    """Forget every token of somebody and return how many there were."""
    ended = session.execute(delete(LoginSession).where(LoginSession.user_id == user.id))
    return int(cast("Any", ended).rowcount)


def require_user() -> User:
    """Return who is asking. Raises Problem `not_logged_in`."""
    user = find_user()
    if user is None:
        raise Problem("not_logged_in", "Send the token of POST /api/v1/login as Authorization: Bearer.")
    return user


def require_bearer() -> None:
    """Refuse a request that could be a browser's own: it adds cookies by itself, never this header. Raises Problem."""
    if _bearer() is None:
        raise Problem("not_logged_in", "This call takes the token from Authorization: Bearer only.")


def require_scraper() -> None:
    """Refuse whoever does not send METRICS_TOKEN. Raises Problem."""
    token = service().settings.metrics_token
    if token is None or not secrets.compare_digest((_bearer() or "").encode(), token.get_secret_value().encode()):
        raise Problem("no_metrics_token")


def find_user() -> User | None:
    """Return who is asking, None for a visitor; looked up once a request."""
    if "user" not in g:
        token = _token()
        g.user = _find_by_token(token) if token else None
    found: User | None = g.user
    return found


def cookie_name() -> str:
    """`__Host-` binds the cookie to this host over HTTPS; plain HTTP, on loopback only, cannot have it."""
    return "__Host-session" if service().settings.cookie_secure else "session"


def _bearer() -> str | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def _token() -> str | None:
    if token := _bearer():
        return token
    cookie = request.cookies.get(cookie_name())
    if cookie and request.method not in SAFE_METHODS:
        _refuse_other_sites()
    return cookie


def _refuse_other_sites() -> None:
    """A browser adds the cookie by itself: a write that another page caused is refused. Raises Problem."""
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None:
        is_ours = site in ("same-origin", "none")
    else:  # by host alone: behind a proxy that ends TLS we do not know our own scheme
        is_ours = origin is None or origin.partition("://")[2] == request.host
    if not is_ours:
        raise Problem("cross_site", "Use Authorization: Bearer, or ask from our own pages.")


def _find_by_token(token: str) -> User | None:
    db, token_hash, now = service().db, _hash(token), service().db.now()
    row = db.read(
        lambda session: session.execute(
            select(LoginSession, User)
            .join(User, User.id == LoginSession.user_id)
            .where(LoginSession.token_hash == token_hash, User.left_at.is_(None))  # a log-in may race with leaving
        ).one_or_none()
    )
    if row is None or now >= row.LoginSession.expires_at or now >= row.LoginSession.last_seen_at + IDLE_LIMIT:
        return None
    if now - row.LoginSession.last_seen_at >= TOUCH_EVERY:
        touch = update(LoginSession).where(LoginSession.token_hash == token_hash).values(last_seen_at=now)
        db.transaction(lambda session: session.execute(touch))
    user: User = row.User
    return user


def _hash(token: str) -> str:
    return sha256(token.encode()).hexdigest()

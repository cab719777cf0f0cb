"""Authentication: opaque session tokens, stored as SHA-256, that expire after 2 idle hours or 12 hours in total."""

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
    """Return a new token and the time when it expires at the latest."""
    token = secrets.token_urlsafe(32)
    ends_at = now + MAX_AGE
    session.add(
        LoginSession(token_hash=_hash(token), user_id=user.id, created_at=now, last_seen_at=now, expires_at=ends_at)
    )
    return token, ends_at


def end_session() -> None:
    """Delete the sessions of this request's tokens: of the header's, and of the cookie's, which the browser forgets.

    Raises Problem `cross_site`.
    """
    hashes = [_hash(token) for token in (_bearer(), _cookie()) if token]
    if hashes:
        service().db.execute(delete(LoginSession).where(LoginSession.token_hash.in_(hashes)))


def end_sessions_of(session: Session, user: User) -> int:
    """Delete every session of a user and return how many there were."""
    ended = session.execute(delete(LoginSession).where(LoginSession.user_id == user.id))
    return int(cast("Any", ended).rowcount)


def require_user() -> User:
    """Return the user of this request. Raises Problem `not_logged_in`."""
    user = find_user()
    if user is None:
        raise Problem("not_logged_in", "The token is missing, unknown or expired.")
    return user


def require_bearer() -> None:
    """Refuse a request without the header: a browser sends cookies by itself, never this header. Raises Problem."""
    if _bearer() is None:
        raise Problem("not_logged_in", "This endpoint accepts the token in Authorization: Bearer only.")


def require_scraper() -> None:
    """Refuse a client that does not send METRICS_TOKEN. Raises Problem."""
    token = service().settings.metrics_token
    if token is None or not secrets.compare_digest((_bearer() or "").encode(), token.get_secret_value().encode()):
        raise Problem("no_metrics_token")


def find_user() -> User | None:
    """Return the user of this request, None for a visitor. The database is queried once for each request."""
    if "user" not in g:
        token = _token()
        g.user = _find_by_token(token) if token else None
    user: User | None = g.user
    return user


def cookie_name() -> str:
    """Return the cookie's name: `__Host-` binds it to this host over HTTPS; plain HTTP, on loopback, cannot use it.

    Nor can a cookie with a path: below a prefix, which leaves the host to others, `__Secure-` has to do.
    """
    if not service().settings.cookie_secure:
        return "session"
    return "__Host-session" if cookie_path() == "/" else "__Secure-session"


def cookie_path() -> str:
    """Return the path below which browsers send the cookie. Pages at other paths of the host can still cause that."""
    return request.script_root or "/"


def _bearer() -> str | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def _token() -> str | None:
    return _bearer() or _cookie()


def _cookie() -> str | None:
    cookie = request.cookies.get(cookie_name())
    if cookie and request.method not in SAFE_METHODS:
        _refuse_other_sites()
    return cookie


def _refuse_other_sites() -> None:
    """Refuse a write from another site's page, to which the browser added the cookie by itself. Raises Problem."""
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None:
        is_ours = site in ("same-origin", "none")
    else:  # compare the host alone: behind a proxy that terminates TLS, the scheme is unknown
        is_ours = origin is None or origin.partition("://")[2] == request.host
    if not is_ours:
        raise Problem("cross_site", "A page of another site cannot use the login cookie.")


def _find_by_token(token: str) -> User | None:
    db, token_hash, now = service().db, _hash(token), service().db.now()
    row = db.read(
        lambda session: session.execute(
            select(LoginSession, User)
            .join(User, User.id == LoginSession.user_id)
            .where(LoginSession.token_hash == token_hash, User.left_at.is_(None))  # a login may race with off-boarding
        ).one_or_none()
    )
    if row is None or now >= row.LoginSession.expires_at or now >= row.LoginSession.last_seen_at + IDLE_LIMIT:
        return None
    if now - row.LoginSession.last_seen_at >= TOUCH_EVERY:
        db.execute(update(LoginSession).where(LoginSession.token_hash == token_hash).values(last_seen_at=now))
    user: User = row.User
    return user


def _hash(token: str) -> str:
    return sha256(token.encode()).hexdigest()

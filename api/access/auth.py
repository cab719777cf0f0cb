"""Authentication: sessions, which expire after 2 idle hours or 12 hours in total, and API tokens with a scope."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Any, cast

from flask import g, request
from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session

from api import credentials
from api.access import tickets
from api.contract.endpoint import Endpoint
from api.contract.problems import Problem
from api.credentials import Credential
from api.service import service
from common.database.models import ApiToken, LoginSession, PasswordReset, User

TOUCH_EVERY = timedelta(minutes=1)
ADDRESS_CHARACTERS, USER_AGENT_CHARACTERS = 64, 200  # what is kept of a session's origin
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def begin_session(session: Session, user: User, now: datetime) -> tuple[str, datetime]:
    """Return a new token and the time when it expires at the latest."""
    token = credentials.new_token()
    ends_at = now + credentials.MAX_AGE
    session.add(
        LoginSession(
            token_hash=credentials.hash_of(token),
            user_id=user.id,
            created_at=now,
            last_seen_at=now,
            expires_at=ends_at,
            address=(request.remote_addr or "")[:ADDRESS_CHARACTERS],
            user_agent=_user_agent(),
        )
    )
    return token, ends_at


def tokens_to_end() -> tuple[list[str], bool]:
    """Return the hashes of this request's tokens, of the header and of the cookie, and whether a cookie was sent.

    From a page of another site the browser withholds the cookie, but would obey an answer that deletes it: such a
    request is refused, unless it has a token of its own. Raises Problem `cross_site`.
    """
    bearer, cookie = _bearer(), _cookie()
    if bearer is None:
        _refuse_other_sites()
    return [credentials.hash_of(token) for token in (bearer, cookie) if token], bool(cookie)


def users_of_sessions(session: Session, token_hashes: list[str]) -> list[User]:
    """Return whose sessions these are, each user as often as they have one."""
    is_one = LoginSession.token_hash.in_(token_hashes)
    return list(session.scalars(select(User).join(LoginSession, LoginSession.user_id == User.id).where(is_one)))


def end_sessions(session: Session, token_hashes: list[str]) -> None:
    """Delete these sessions. The last statement of a transaction: other requests may want to touch them."""
    session.execute(delete(LoginSession).where(LoginSession.token_hash.in_(token_hashes)))


def end_sessions_of(session: Session, user: User, *, but: str | None = None) -> int:
    """Delete every session of a user, apart from the one with the hash `but`, and return how many there were."""
    others = (LoginSession.token_hash != but,) if but is not None else ()
    ended = session.execute(delete(LoginSession).where(LoginSession.user_id == user.id, *others))
    return int(cast("Any", ended).rowcount)


def revoke_tokens_of(session: Session, user: User) -> int:
    """Delete every API token of a user and return how many there were."""
    revoked = session.execute(delete(ApiToken).where(ApiToken.user_id == user.id))
    return int(cast("Any", revoked).rowcount)


def revoke_access_of(session: Session, user: User) -> None:
    """Delete the sessions, the API tokens and the reset code of a user: who comes back has to prove it anew."""
    end_sessions_of(session, user)
    revoke_tokens_of(session, user)
    session.execute(delete(PasswordReset).where(PasswordReset.user_id == user.id))


def require_scope(call: Endpoint) -> None:
    """Refuse an API token that may not make this call. Raises Problem `scope`, which names the scope that may."""
    credential = find_credential() if credentials.is_api_token(_bearer()) else None
    if credential is None or credential.scope is None:
        return
    if call.scope is None:
        raise Problem("scope", "No API token may do this: log in.")
    if not credential.scope.includes(call.scope):
        raise Problem("scope", f"This call needs the scope `{call.scope}`; the token has `{credential.scope}`.")


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


def find_user(session: Session | None = None) -> User | None:
    """Return the user of this request, None for a visitor."""
    credential = find_credential(session)
    return credential.user if credential else None


def find_credential(session: Session | None = None) -> Credential | None:
    """Return what proves who sends this request, None for a visitor. The database is queried once for each request.

    `session` is a transaction of the caller's that reads what is asked for: it serves for this question, too.
    """
    if "credential" not in g:
        token = _token()
        g.credential = _find_by_token(token, session) if token else None
    credential: Credential | None = g.credential
    return credential


def use_ticket(session: Session, ticket: str, job_id: str) -> None:
    """Let a ticket for the events of a job stand for the token of this request. Raises Problem `not_logged_in`."""
    g.credential = credentials.find_by_hash(session, tickets.token_hash(ticket, job_id), service().db.now())
    if g.credential is None:
        raise Problem("not_logged_in", "The session or API token of the ticket is over.")


def token_hash(session: Session | None = None) -> str | None:
    """Return the hash of the valid token of this request, None for a visitor."""
    credential = find_credential(session)
    return credential.token_hash if credential else None


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
    bearer = _bearer()
    if bearer is not None:
        return bearer
    cookie = _cookie()
    return None if credentials.is_api_token(cookie) else cookie


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


def _find_by_token(token: str, within: Session | None) -> Credential | None:
    db, now = service().db, service().db.now()
    found = (
        credentials.find(within, token, now)
        if within
        else db.read(lambda session: credentials.find(session, token, now))
    )
    if found is not None and (found.used_at is None or now - found.used_at >= TOUCH_EVERY):
        _touch(found, now)
    return found


def _touch(used: Credential, now: datetime) -> None:
    """Record the use of a session or token, with no lock that outlasts the statement."""
    if used.scope is None:
        is_session = LoginSession.token_hash == used.token_hash
        service().db.execute(update(LoginSession).where(is_session).values(last_seen_at=now))
        return
    is_older = or_(ApiToken.last_used_at.is_(None), ApiToken.last_used_at <= now - TOUCH_EVERY)
    is_token = ApiToken.token_hash == used.token_hash
    service().db.execute(update(ApiToken).where(is_token, is_older).values(last_used_at=now))


def _user_agent() -> str:
    """Return what the client calls itself, without what could disturb a page or a terminal."""
    said = request.headers.get("User-Agent", "")
    return "".join(character for character in said if character.isprintable())[:USER_AGENT_CHARACTERS]

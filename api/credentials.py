"""Credentials of people in the database: sessions and API tokens, by the SHA-256 of their tokens."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from api.contract.scopes import Scope
from common.database.models import ApiToken, LoginSession, User

IDLE_LIMIT = timedelta(hours=2)
MAX_AGE = timedelta(hours=12)
API_TOKEN_PREFIX = "slp_"  # noqa: S105 - public: people and secret scanners recognize tokens by it


@dataclass(frozen=True, kw_only=True)
class Credential:
    """A valid session or API token, and whose it is. `scope` None: a session, which may do all that its person may."""

    token_hash: str
    user: User
    used_at: datetime | None
    scope: Scope | None = None


def new_token() -> str:
    """Return 256 random bits as text."""
    return secrets.token_urlsafe(32)


def hash_of(token: str) -> str:
    """Return what is stored of a token: so many random bits need neither salt nor a slow hash."""
    return sha256(token.encode()).hexdigest()


def find(session: Session, token: str, now: datetime) -> Credential | None:
    """Return the session or API token, None when it is unknown or over."""
    return (_find_api_token if is_api_token(token) else _find_session)(session, hash_of(token), now)


def find_by_hash(session: Session, token_hash: str, now: datetime) -> Credential | None:
    """Return the session or API token of which this is the hash, None when it is over."""
    return _find_session(session, token_hash, now) or _find_api_token(session, token_hash, now)


def is_api_token(token: str | None) -> bool:
    return token is not None and token.startswith(API_TOKEN_PREFIX)


def _find_session(session: Session, token_hash: str, now: datetime) -> Credential | None:
    row = session.execute(
        select(LoginSession, User)
        .join(User, User.id == LoginSession.user_id)
        .where(LoginSession.token_hash == token_hash, *_is_valid(now))
    ).one_or_none()
    if row is None:
        return None
    return Credential(token_hash=token_hash, user=row.User, used_at=row.LoginSession.last_seen_at)


def _find_api_token(session: Session, token_hash: str, now: datetime) -> Credential | None:
    row = session.execute(
        select(ApiToken, User)
        .join(User, User.id == ApiToken.user_id)
        .where(ApiToken.token_hash == token_hash, ApiToken.expires_at > now, User.left_at.is_(None))
    ).one_or_none()
    if row is None:
        return None
    session.expunge(row.User)
    row.User.is_admin = False  # in this request only: a token acts for a member of the team
    token = row.ApiToken
    return Credential(token_hash=token_hash, user=row.User, used_at=token.last_used_at, scope=Scope(token.scope))


def find_valid(session: Session, token_hashes: Collection[str], now: datetime) -> set[str]:
    """Return those of these hashes whose sessions and API tokens are not over."""
    sessions = (
        select(LoginSession.token_hash)
        .join(User, User.id == LoginSession.user_id)
        .where(LoginSession.token_hash.in_(token_hashes), *_is_valid(now))
    )
    valid = set(session.scalars(sessions))
    if others := set(token_hashes) - valid:
        tokens = (
            select(ApiToken.token_hash)
            .join(User, User.id == ApiToken.user_id)
            .where(ApiToken.token_hash.in_(others), ApiToken.expires_at > now, User.left_at.is_(None))
        )
        valid.update(session.scalars(tokens))
    return valid


def is_valid_session(now: datetime) -> tuple[ColumnElement[bool], ...]:
    """Return what holds of a session that is neither too old nor idle for too long."""
    return LoginSession.expires_at > now, LoginSession.last_seen_at > now - IDLE_LIMIT


def _is_valid(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return User.left_at.is_(None), *is_valid_session(now)  # a log-in may race with off-boarding

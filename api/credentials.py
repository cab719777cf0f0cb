"""Credentials of people in the database: sessions, by the SHA-256 of their tokens."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from common.database.models import LoginSession, User

IDLE_LIMIT = timedelta(hours=2)
MAX_AGE = timedelta(hours=12)


@dataclass(frozen=True, kw_only=True)
class Credential:
    """A valid session, and whose it is."""

    token_hash: str
    user: User
    used_at: datetime


def new_token() -> str:
    """Return 256 random bits as text."""
    return secrets.token_urlsafe(32)


def hash_of(token: str) -> str:
    """Return what is stored of a token: so many random bits need neither salt nor a slow hash."""
    return sha256(token.encode()).hexdigest()


def find(session: Session, token: str, now: datetime) -> Credential | None:
    """Return the session of this token, None when it is unknown or over."""
    row = session.execute(
        select(LoginSession, User)
        .join(User, User.id == LoginSession.user_id)
        .where(LoginSession.token_hash == hash_of(token), *_is_valid(now))
    ).one_or_none()
    if row is None:
        return None
    used = row.LoginSession
    return Credential(token_hash=used.token_hash, user=row.User, used_at=used.last_seen_at)


def find_valid(session: Session, token_hashes: Collection[str], now: datetime) -> set[str]:
    """Return those of these hashes whose sessions are not over."""
    statement = (
        select(LoginSession.token_hash)
        .join(User, User.id == LoginSession.user_id)
        .where(LoginSession.token_hash.in_(token_hashes), *_is_valid(now))
    )
    return set(session.scalars(statement))


def is_valid_session(now: datetime) -> tuple[ColumnElement[bool], ...]:
    """Return what holds of a session that is neither too old nor idle for too long."""
    return LoginSession.expires_at > now, LoginSession.last_seen_at > now - IDLE_LIMIT


def _is_valid(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return User.left_at.is_(None), *is_valid_session(now)  # a log-in may race with off-boarding

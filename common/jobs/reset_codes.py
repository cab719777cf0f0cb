"""One-time codes with which people set a new password, by the SHA-256 of the code."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from hashlib import sha256

from sqlalchemy.orm import Session

from common.database.models import PasswordReset, User

CODE_LIVES = timedelta(hours=1)
CODE_BYTES = 32


def create(session: Session, person: User, now: datetime) -> tuple[str, datetime]:
    """Return a new code and when it expires; an earlier code of the person is void."""
    code, expires_at = secrets.token_urlsafe(CODE_BYTES), now + CODE_LIVES
    row = PasswordReset(user_id=person.id, code_hash=hash_of(code), created_at=now, expires_at=expires_at)
    session.merge(row)
    return code, expires_at


def is_mailed_to(person: User) -> bool:
    """Say whether a code may be mailed: to an address that was confirmed, and to no administrator.

    Whoever reads an administrator's mail must not get all teams: another administrator gives them a code.
    """
    return person.email_confirmed_at is not None and person.left_at is None and not person.is_admin


def hash_of(code: str) -> str:
    """Return what is stored of a code: so many random bits need neither salt nor a slow hash."""
    return sha256(code.encode()).hexdigest()

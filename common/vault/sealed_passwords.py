"""The sealed password of a job: seal, unseal, wipe and expire.

It exists from the request until the last step that needs it is done, at most LIVES long, and after a failure for
RETRY_WITHIN only. While a sign-up waits for approval, it exists until somebody answers or the time for that is over.
Nothing else touches its table, apart from the rotation of keys, which seals every kind of row afresh.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import Select, delete, select, update
from sqlalchemy.orm import Session

from common.database import expiry
from common.database.engine import Database
from common.database.models import Secret
from common.vault.cipher import Vault

PURPOSE = "password"
LIVES = timedelta(hours=24)
RETRY_WITHIN = timedelta(hours=1)  # after a failure; a later retry asks for the password again

SealedPassword = Secret  # its row, for the rotation of keys


def seal(
    session: Session, vault: Vault, *, job_id: str, password: str, now: datetime, until: datetime | None = None
) -> None:
    """Keep the password of a job that has none yet; `until` another time than usual."""
    row = _row(vault, job_id, password, now)
    row.expires_at = until or row.expires_at
    session.add(row)


def seal_again(session: Session, vault: Vault, *, job_id: str, password: str, now: datetime) -> None:
    """Keep the password of a job, in place of the one that may be kept already."""
    session.merge(_row(vault, job_id, password, now))


def unseal(session: Session, vault: Vault, job_id: str) -> str | None:
    """Return the password, None when it was wiped or has expired. Raises CannotOpenError."""
    row = session.get(Secret, (job_id, PURPOSE))
    if row is None:
        return None
    return vault.open(row.key_id, row.sealed, job_id=job_id, purpose=PURPOSE)


def is_kept(session: Session, job_id: str) -> bool:
    return session.scalar(select(Secret.job_id).where(Secret.job_id == job_id)) is not None


def shorten(session: Session, job_id: str, *, until: datetime) -> None:
    """Let the password of a job expire then, at the latest."""
    is_longer = (Secret.job_id == job_id, Secret.expires_at > until)
    session.execute(update(Secret).where(*is_longer).values(expires_at=until))


def prolong(session: Session, job_id: str, *, until: datetime) -> None:
    """Let the password of a job expire then, at the earliest."""
    is_shorter = (Secret.job_id == job_id, Secret.expires_at < until)
    session.execute(update(Secret).where(*is_shorter).values(expires_at=until))


def expire_at(session: Session, job_id: str, at: datetime) -> None:
    """Let the password of a job expire then."""
    session.execute(update(Secret).where(Secret.job_id == job_id).values(expires_at=at))


def wipe(session: Session, job_ids: Collection[str] | Select[str]) -> int:
    """Delete the passwords of these jobs, and return how many there were."""
    statement = delete(Secret).where(Secret.job_id.in_(job_ids))
    result = session.execute(statement, execution_options={"synchronize_session": False})
    return int(cast("Any", result).rowcount)


def expire(db: Database) -> None:
    """Delete those that were kept for too long. Safe to call from any number of processes."""
    expiry.delete_expired(db, Secret)


def bound_to(row: SealedPassword) -> tuple[str, str]:
    """Return what is authenticated with a row: its job's id and its purpose."""
    return row.job_id, row.purpose


def _row(vault: Vault, job_id: str, password: str, now: datetime) -> Secret:
    key_id, sealed = vault.seal(password, job_id=job_id, purpose=PURPOSE)
    return Secret(job_id=job_id, purpose=PURPOSE, key_id=key_id, sealed=sealed, expires_at=now + LIVES)

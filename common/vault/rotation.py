"""Key rotation: count the sealed rows of each key, and seal those of older keys afresh with the newest one.

A row names the key that seals it, so a key may be removed from SECRET_KEYS once no row names it any more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.orm import Session

from common.database.engine import Database
from common.database.models import IdempotencyRecord
from common.vault import sealed_passwords
from common.vault.cipher import CannotOpenError, Vault
from common.vault.sealed_passwords import SealedPassword

Sealed = SealedPassword | IdempotencyRecord

SEALED: tuple[type[Sealed], ...] = (SealedPassword, IdempotencyRecord)
ROWS = 200  # read, and written in one transaction


@dataclass(frozen=True, kw_only=True)
class Resealed:
    """How many rows were sealed afresh. `unread`: no key of ours opens them, and they are unchanged."""

    done: int
    unread: int


def bound_to(row: Sealed) -> tuple[str, str]:
    """Return what is authenticated with the secret of a row: whose it is, and for what."""
    if isinstance(row, IdempotencyRecord):
        return f"{row.owner} {row.key}", "answer"
    return sealed_passwords.bound_to(row)


def count(session: Session) -> dict[str, Counter[str]]:
    """Return how many rows each key seals: by its id, and by the name of the table."""
    found: dict[str, Counter[str]] = {}
    for table in SEALED:
        statement = select(table.key_id, func.count()).group_by(table.key_id)
        for key_id, rows in session.execute(statement):
            found.setdefault(key_id, Counter())[table.__tablename__] = rows
    return found


def reseal(db: Database, vault: Vault) -> Iterator[Resealed]:
    """Seal every row afresh that an older key seals, some at a time.

    Safe to repeat, and beside running processes that have the newest key: a row that has changed since it was read is
    left to the next run.
    """
    for table in SEALED:
        rows: Sequence[Sealed] = db.read(partial(_next, table, vault, None))
        while rows:
            yield _reseal(db, vault, rows)
            rows = db.read(partial(_next, table, vault, rows[-1]))


def _next(table: type[Sealed], vault: Vault, last: Sealed | None, session: Session) -> Sequence[Sealed]:
    behind = [] if last is None else [_is_behind(last)]
    order = table.__table__.primary_key
    wanted = select(table).where(table.key_id != vault.sealing_key_id, *behind).order_by(*order).limit(ROWS)
    return cast("Sequence[Sealed]", session.scalars(wanted).all())


def _is_behind(row: Sealed) -> ColumnElement[bool]:
    """As `(a, b) > (x, y)`, for which MySQL would read from the beginning."""
    (a, x), (b, y) = _identity(row)
    return or_(a > x, and_(a == x, b > y))


def _identity(row: Sealed) -> list[tuple[ColumnElement[str], str]]:
    return [(column, getattr(row, column.name)) for column in type(row).__table__.primary_key]


def _reseal(db: Database, vault: Vault, rows: Sequence[Sealed]) -> Resealed:
    fresh = [(row, *found) for row in rows if (found := _sealed_afresh(vault, row))]

    def work(session: Session) -> int:
        return sum(_replace(session, row, key_id, sealed) for row, key_id, sealed in fresh)

    return Resealed(done=db.transaction(work), unread=len(rows) - len(fresh))


def _sealed_afresh(vault: Vault, row: Sealed) -> tuple[str, bytes] | None:
    whose, purpose = bound_to(row)
    try:
        plain = vault.open(row.key_id, row.sealed, job_id=whose, purpose=purpose)
    except CannotOpenError:
        return None
    return vault.seal(plain, job_id=whose, purpose=purpose)


def _replace(session: Session, row: Sealed, key_id: str, sealed: bytes) -> int:
    table = type(row)
    is_it = (column == value for column, value in _identity(row))
    result = session.execute(
        update(table).where(*is_it, table.sealed == row.sealed).values(key_id=key_id, sealed=sealed)
    )
    return int(cast("Any", result).rowcount)

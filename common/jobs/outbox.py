"""The outbox: mails to be sent, as rows. A request writes one in its transaction, and the workers send it.

A row says who gets a mail of which kind, not what it says: links with a token are made when the mail is sent, so no
copy of the database has them. There is one mail of a kind to a person; whoever asks for more gets one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, or_, select, update
from sqlalchemy.orm import Session

from common.database.engine import Database
from common.database.models import Mail

CONFIRM_SIGNUP, RESET_PASSWORD = "confirm_signup", "reset_password"
AT_ONCE = 20
FIRST_PAUSE_S, LONGEST_PAUSE_S = 60, 900  # while the mail server is away, ever more rarely
SENT_WITHIN_S = 45  # of the first pause: nobody else makes a new link while a mail with the last one is being sent


@dataclass(frozen=True, kw_only=True)
class TakenMail:
    """A mail that this caller sends: nobody else takes it before `until`."""

    user_id: str
    kind: str
    until: datetime


def put(session: Session, user_id: str, kind: str, *, now: datetime, expires_at: datetime) -> None:
    """Have a mail sent, in place of one of this kind that was not sent yet."""
    session.merge(Mail(user_id=user_id, kind=kind, attempts=0, due_at=now, expires_at=expires_at))


def take_next(db: Database) -> TakenMail | None:
    """Return a mail that is due, to one caller only; None when there is none. Unless removed, it is due again later."""
    now = db.now()
    pauses = [min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**attempts) for attempts in range(5)]
    is_of_the_future = Mail.due_at > now + timedelta(seconds=2 * LONGEST_PAUSE_S)  # the clock was set back since
    due = select(Mail).where(or_(Mail.due_at <= now, is_of_the_future)).order_by(Mail.due_at).limit(AT_ONCE)
    for mail in db.read(lambda session: session.scalars(due).all()):
        until = now + timedelta(seconds=pauses[min(mail.attempts, len(pauses) - 1)])
        is_free = (*_is(mail.user_id, mail.kind), Mail.due_at == mail.due_at)
        if db.run(update(Mail).where(*is_free).values(due_at=until, attempts=Mail.attempts + 1)):
            return TakenMail(user_id=mail.user_id, kind=mail.kind, until=until)
    return None


def remove(session: Session, mail: TakenMail) -> None:
    """Delete a mail that was sent or is of no use any more, unless it was asked for anew meanwhile."""
    session.execute(delete(Mail).where(*_is(mail.user_id, mail.kind), Mail.due_at == mail.until))


def _is(user_id: str, kind: str) -> tuple[ColumnElement[bool], ...]:
    return Mail.user_id == user_id, Mail.kind == kind

"""Invitations: codes with which people join a team that is not open, at sign-up.

A code is shown once, to its creator, and is as hard to guess as a session token. It is redeemed in the transaction that
creates the account, so concurrent sign-ups cannot exceed its number of uses.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from hashlib import sha256

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from api.contract.problems import FieldError, Problem
from common.database.engine import matched
from common.database.ids import new_id
from common.database.models import Invite, User

CODE_BYTES = 18  # 24 characters


def create(session: Session, *, team_id: str, uses: int, now: datetime, expires_at: datetime) -> tuple[Invite, str]:
    """Return a new invitation and its code, which cannot be displayed again."""
    code = secrets.token_urlsafe(CODE_BYTES)
    invite = Invite(
        id=new_id(),
        code_hash=_hash(code),
        team_id=team_id,
        uses=uses,
        used=0,
        created_at=now,
        expires_at=expires_at,
    )
    session.add(invite)
    return invite, code


def find(session: Session, code: str, *, team_id: str, now: datetime) -> Invite:
    """Return the invitation to this team, which can be redeemed. Raises Problem with an error for `invite`."""
    invite = session.scalar(select(Invite).where(Invite.code_hash == _hash(code)))
    if invite is None or invite.team_id != team_id or invite.used >= invite.uses or invite.expires_at <= now:
        raise Problem("invalid_fields", errors=[_refusal(invite, team_id)])
    return invite


def redeem(session: Session, invite: Invite, *, now: datetime) -> None:
    """Redeem one use. Raises Problem with an error for `invite`, when others have used it up meanwhile.

    To be done last: the row, which all sign-ups with this code need, is locked from here to the commit.
    """
    is_usable = (Invite.id == invite.id, Invite.used < Invite.uses, Invite.expires_at > now)
    if not matched(session.execute(update(Invite).where(*is_usable).values(used=Invite.used + 1))):
        session.refresh(invite)
        raise Problem("invalid_fields", errors=[_refusal(invite, invite.team_id)])


def return_use(session: Session, person: User) -> None:
    """Return the use of the invitation by which a person joined, because their sign-up failed for good."""
    session.execute(update(Invite).where(Invite.id == person.invite_id).values(used=Invite.used - 1))
    person.invite_id = None


def _refusal(invite: Invite | None, team_id: str) -> FieldError:
    if invite is None:
        return _error("unknown", "This invitation code is unknown. Check the code, or ask for another invitation.")
    if invite.team_id != team_id:
        return _error(
            "other_team",
            f"The invitation is for the team {invite.team_id}. Choose that team, or ask for another invitation.",
        )
    if invite.used >= invite.uses:
        return _error("used_up", "The invitation has already been used. Ask for another invitation.")
    return _error("expired", "The invitation has expired or was revoked. Ask for another invitation.")


def _error(code: str, message: str) -> FieldError:
    return FieldError(field="invite", code=code, message=message)


def _hash(code: str) -> str:
    return sha256(code.encode()).hexdigest()

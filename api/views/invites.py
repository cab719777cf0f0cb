"""How does somebody join a team that is not open to all?  By the code of an invitation, at sign-up.

A code is shown once, to whoever makes it, and is as hard to guess as a log-in's token. It is used up in the very
transaction that makes the account: of many who use it at once, as many come in as may.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from hashlib import sha256
from typing import Any, cast

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from api.contract.problems import FieldError, Problem
from common.database.ids import new_id
from common.database.models import Invite, User

CODE_BYTES = 18  # 24 characters


def create(session: Session, *, team_id: str, uses: int, now: datetime, expires_at: datetime) -> tuple[Invite, str]:
    """Return a new invitation and its code, which nothing can show again."""
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


def redeem(session: Session, code: str, *, team_id: str, now: datetime) -> str:
    """Take one use of the invitation to this team, and return its id. Raises Problem that names `invite`."""
    is_code = Invite.code_hash == _hash(code)
    is_usable = (Invite.team_id == team_id, Invite.used < Invite.uses, Invite.expires_at > now)
    result = session.execute(update(Invite).where(is_code, *is_usable).values(used=Invite.used + 1))
    found = session.scalar(select(Invite).where(is_code))
    if found is None or not cast("Any", result).rowcount:
        raise Problem("invalid_fields", errors=[_refusal(found, team_id)])
    return found.id


def return_use(session: Session, person: User) -> None:
    """Let the invitation by which a person came be used by somebody else: nothing became of their sign-up."""
    session.execute(update(Invite).where(Invite.id == person.invite_id).values(used=Invite.used - 1))
    person.invite_id = None


def _refusal(found: Invite | None, team_id: str) -> FieldError:
    if found is None:
        return _error("unknown", "There is no such invitation. Compare the code, or ask for another one.")
    if found.team_id != team_id:
        return _error("other_team", f"The invitation is to the team {found.team_id}.")
    if found.used >= found.uses:
        return _error("used_up", "The invitation has been used. Ask for another one.")
    return _error("expired", "The invitation has expired or was revoked. Ask for another one.")


def _error(code: str, message: str) -> FieldError:
    return FieldError(field="invite", code=code, message=message)


def _hash(code: str) -> str:
    return sha256(code.encode()).hexdigest()

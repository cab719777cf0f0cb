"""Look up accounts by login and logins by account."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field
from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from api.contract.problems import FieldError
from common.database.models import User

# Looser than the rule for new logins: `gone-…` is the login of a deleted account.
Login = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,63}$")]

_LOGINS = select(User.id, User.login).where(User.id.in_(bindparam("user_ids", expanding=True)))  # made once: it is hot


def find_id(session: Session, login: str) -> str | None:
    return session.scalar(select(User.id).where(User.login == login))


def find_taken(session: Session, *, login: str, email: str) -> list[FieldError]:
    """Return an error for each of the two that belongs to an account already."""
    messages = {
        "id": (User.login == login, "This ID is already taken. Choose another ID, or log in."),
        "email": (User.email == email.lower(), "This e-mail address already has an account. Log in instead."),
    }
    return [
        FieldError(field=field, code="taken", message=message)
        for field, (is_same, message) in messages.items()
        if session.scalar(select(User.id).where(is_same)) is not None
    ]


def logins(session: Session, user_ids: Iterable[str | None]) -> dict[str | None, str]:
    """Map user ids to logins with a single query."""
    wanted = {user_id for user_id in user_ids if user_id is not None}
    if not wanted:
        return {}
    return {row.id: row.login for row in session.connection().execute(_LOGINS, {"user_ids": list(wanted)})}

"""Who is who?  The account behind a login, the logins behind what accounts have begun."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.contract.problems import FieldError
from common.database.models import User

# Looser than what a new login must keep to: `gone-…` is somebody's, too.
Login = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,63}$")]


def find_id(session: Session, login: str) -> str | None:
    return session.scalar(select(User.id).where(User.login == login))


def find_taken(session: Session, *, login: str, email: str) -> list[FieldError]:
    """Say which of the two belong to somebody."""
    messages = {
        "id": (User.login == login, "This id is taken. Choose another one, or log in."),
        "email": (User.email == email.lower(), "This e-mail address has an account. Log in with it."),
    }
    return [
        FieldError(field=field, code="taken", message=message)
        for field, (is_same, message) in messages.items()
        if session.scalar(select(User.id).where(is_same)) is not None
    ]


def logins(session: Session, user_ids: Iterable[str | None]) -> dict[str | None, str]:
    """Map the ids to logins, by one query for all of them."""
    wanted = {user_id for user_id in user_ids if user_id is not None}
    statement = select(User.id, User.login).where(User.id.in_(wanted))
    return {row.id: row.login for row in session.execute(statement)} if wanted else {}

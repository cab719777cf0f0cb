"""What may a person see?  Their own team's things; anything else looks exactly as if it did not exist.

Every look-up by an id that a client sent goes through here.
"""

from __future__ import annotations

from typing import TypeVar

from sqlalchemy.orm import Session

from api.problems import Problem
from api.rules import ID
from common.models import App, Job, Project, User

Row = TypeVar("Row", Project, App, Job)


def project(session: Session, user: User, project_id: str) -> Project:
    """Raises Problem `not_found`."""
    return _own(_find(session, Project, project_id), user)


def app(session: Session, user: User, app_id: str) -> App:
    """Raises Problem `not_found`."""
    return _own(_find(session, App, app_id), user)


def job(session: Session, user: User | None, job_id: str) -> Job:
    """A sign-up can be followed without a login, by whoever knows its id. Raises Problem."""
    found = _find(session, Job, job_id)
    if found is not None and found.kind == "signup":
        return found
    if user is None:
        raise Problem("not_logged_in", "Only the job of a sign-up can be followed without a login.")
    return _own(found, user)


def _find(session: Session, table: type[Row], row_id: str) -> Row | None:
    """What has not the shape of an id is no id: MariaDB answers a comparison with non-ASCII text by an error."""
    return session.get(table, row_id) if ID.fullmatch(row_id) else None


def _own(row: Row | None, user: User) -> Row:
    if row is None or row.team_id != user.team_id:
        raise Problem("not_found")
    return row

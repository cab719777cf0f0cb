"""What may a person see?  Their own team's things; anything else looks exactly as if it did not exist.

Every look-up by an id that a client sent goes through here.
"""

from __future__ import annotations

from typing import TypeVar

from sqlalchemy.orm import Session

from api.problems import Problem
from common.models import App, Job, Project, User

Row = TypeVar("Row", Project, App, Job)


def project(session: Session, user: User, project_id: str) -> Project:
    """Raises Problem `not_found`."""
    return _own(session.get(Project, project_id), user)


def app(session: Session, user: User, app_id: str) -> App:
    """Raises Problem `not_found`."""
    return _own(session.get(App, app_id), user)


def job(session: Session, user: User | None, job_id: str) -> Job:
    """A sign-up can be followed without a login, by whoever knows its id. Raises Problem."""
    found = session.get(Job, job_id)
    if found is not None and found.kind == "signup":
        return found
    if user is None:
        raise Problem("not_logged_in", "Only the job of a sign-up can be followed without a login.")
    return _own(found, user)


def _own(row: Row | None, user: User) -> Row:
    if row is None or row.team_id != user.team_id:
        raise Problem("not_found")
    return row

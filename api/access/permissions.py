"""What may a person see?  Their own team's things, administrators everything; the rest looks as if it did not exist.

Every look-up by an id that a client sent goes through here.
"""

from __future__ import annotations

from typing import TypeVar

from sqlalchemy.orm import Session

from api.contract.problems import Problem
from api.contract.validation import ID, TEAM
from common.database.models import App, Job, Project, Team, User

Row = TypeVar("Row", Project, App, Job)


def team(session: Session, user: User, team_id: str | None) -> str:
    """Return whose things to list: one's own team by default, any that there is for administrators. Raises Problem."""
    if team_id is None or team_id == user.team_id:
        return user.team_id
    if not user.is_admin or not TEAM.fullmatch(team_id) or session.get(Team, team_id) is None:
        raise Problem("not_found")
    return team_id


def project(session: Session, user: User, project_id: str) -> Project:
    """Raises Problem `not_found`."""
    return _require_own(_find(session, Project, project_id), user)


def app(session: Session, user: User, app_id: str, *, for_update: bool = False) -> App:
    """An app that was removed is not found; `for_update` locks its row. Raises Problem `not_found`."""
    found = _require_own(_find(session, App, app_id, for_update=for_update), user)
    if found.claimed_name is None:
        raise Problem("not_found")
    return found


def job(session: Session, user: User | None, job_id: str) -> Job:
    """A sign-up can be followed without a login, by whoever knows its id. Raises Problem."""
    found = _find(session, Job, job_id)
    if found is not None and found.kind == "signup":
        return found
    if user is None:
        raise Problem("not_logged_in", "Only the job of a sign-up can be followed without a login.")
    return _require_own(found, user)


def own_job(session: Session, user: User, job_id: str) -> Job:
    """A job to be acted upon: who only knows the id of a sign-up may not. Raises Problem `not_found`."""
    return _require_own(_find(session, Job, job_id), user)


def _find(session: Session, table: type[Row], row_id: str, *, for_update: bool = False) -> Row | None:
    """What has not the shape of an id is no id: MariaDB answers a comparison with non-ASCII text by an error."""
    return session.get(table, row_id, with_for_update=for_update or None) if ID.fullmatch(row_id) else None


def _require_own(row: Row | None, user: User) -> Row:
    if row is None or not (row.team_id == user.team_id or user.is_admin):
        raise Problem("not_found")
    return row

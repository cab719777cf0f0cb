"""Permissions: users see the resources of their team, administrators see all; anything else is reported as not found.

Every query by an id that a client sent goes through this module.
"""

from __future__ import annotations

from typing import TypeVar, cast

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from api.contract.problems import Problem
from api.contract.validation import ID, TEAM
from api.service import service
from common.config.catalog import CatalogTeam
from common.database.models import App, Job, Project, Team, User

Row = TypeVar("Row", Project, App, Job)

_JOB = select(Job.__table__).where(Job.id == bindparam("job_id"))  # made once: it is hot


def team(session: Session, user: User, team_id: str | None) -> str:
    """Return the team to list: the user's own by default, any existing one for administrators. Raises Problem."""
    if team_id is None or team_id == user.team_id:
        return user.team_id
    if not user.is_admin or not TEAM.fullmatch(team_id) or session.get(Team, team_id) is None:
        raise Problem("not_found")
    return team_id


def catalog_team(session: Session, user: User, team_id: str) -> CatalogTeam:
    """Return the user's own team, any team for administrators, as the catalog has it. Raises Problem `not_found`."""
    found = service().catalog.teams.get(team(session, user, team_id))
    if found is None:
        raise Problem("not_found", "The team is no longer in the catalog.")
    return found


def project(session: Session, user: User, project_id: str) -> Project:
    """Return a project of the user's team. Raises Problem `not_found`."""
    return _require_own(_find(session, Project, project_id), user)


def app(session: Session, user: User, app_id: str, *, for_update: bool = False, removed: bool = False) -> App:
    """Return an app of the user's team, with `removed` also one that was removed; `for_update` locks its row.

    Raises Problem `not_found`.
    """
    row = _require_own(_find(session, App, app_id, for_update=for_update), user)
    if row.claimed_name is None and not removed:
        raise Problem("not_found")
    return row


def job(session: Session, user: User | None, job_id: str) -> Job:
    """Return a job that the user may follow; anyone who knows its id may follow a sign-up. Raises Problem."""
    return _require_visible(_find(session, Job, job_id), user)


def shown_job(session: Session, user: User | None, job_id: str) -> Job:
    """Return what `job` does as a row to read from: front ends ask for it again and again. Raises Problem."""
    found = session.connection().execute(_JOB, {"job_id": job_id}).one_or_none() if ID.fullmatch(job_id) else None
    return _require_visible(cast("Job | None", found), user)


def own_job(session: Session, user: User, job_id: str) -> Job:
    """Return a job that the user may change: knowing the id of a sign-up is not enough. Raises Problem `not_found`."""
    return _require_own(_find(session, Job, job_id), user)


def _find(session: Session, table: type[Row], row_id: str, *, for_update: bool = False) -> Row | None:
    """Return the row, None for a malformed id: MariaDB fails when an id is compared with non-ASCII text."""
    return session.get(table, row_id, with_for_update=for_update or None) if ID.fullmatch(row_id) else None


def _require_visible(row: Job | None, user: User | None) -> Job:
    if row is not None and row.kind == "signup":
        return row
    if user is None:
        raise Problem("not_logged_in", "Only a sign-up job can be followed without a login.")
    return _require_own(row, user)


def _require_own(row: Row | None, user: User) -> Row:
    if row is None or not (row.team_id == user.team_id or user.is_admin):
        raise Problem("not_found")
    return row

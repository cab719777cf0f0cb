"""Users: list and off-board."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from flask import Blueprint
from pydantic import Field
from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from api.access import audit, auth
from api.contract import pagination, validation
from api.contract.endpoint import Answer, BooleanFlag, Policy, ResponseBody
from api.contract.pagination import SearchText, Slice, SliceBody, TeamName
from api.contract.problems import Problem
from api.service import service
from api.serving.accepted import JobAccepted, accepted, request_id
from api.serving.idempotency import once
from api.serving.routing import route
from common.audit import ActionKind
from common.database.models import Job, User
from common.jobs import interventions, lifecycle
from common.states import OPEN
from common.workflows import CHANGE_PASSWORD, OFFBOARD

blueprint = Blueprint("users", __name__)

SIGN_UP_RUNS = (
    "The sign-up of this person is still running, so nothing was closed. Wait for it to finish, or cancel it; then "
    "off-board the person."
)


class UserFilter(Slice):
    """The page of the list of users to return, newest first."""

    team: Annotated[TeamName | None, Field(description="Only users of this team.")] = None
    admins: Annotated[BooleanFlag, Field(description="Only administrators.")] = False
    name: Annotated[
        SearchText | None, Field(description="Only users with this in their ID, name or e-mail address.")
    ] = None


class UserShown(ResponseBody):
    """An account; `id` is the login. `admitted_at`: the first log-in; `left_at`: when the user was off-boarded."""

    id: str
    email: str
    name: str
    team: str
    is_admin: bool
    created_at: datetime
    admitted_at: datetime | None
    left_at: datetime | None


class Users(SliceBody):
    """A page of users."""

    users: list[UserShown]


@route(blueprint, "GET", "/users", policy=Policy.ADMIN, query=UserFilter, answers={200: Users})
def list_users(query: UserFilter) -> Answer:
    """List the accounts, newest first, including closed ones."""
    wanted: list[ColumnElement[bool]] = [User.is_admin.is_(True)] if query.admins else []
    if query.team is not None:
        wanted.append(User.team_id == query.team)
    if query.name is not None:
        columns = (User.name,) if not query.name.isascii() else (User.login, User.email, User.name)
        wanted.append(or_(*(column.icontains(query.name, autoescape=True) for column in columns)))

    def work(session: Session) -> Users:
        rows, following = pagination.slice_of(session, User, query, *wanted)
        return Users(users=[_shown(row) for row in rows], next=following)

    return Answer(body=service().db.read(work))


@route(blueprint, "DELETE", "/users/<login>", policy=Policy.ADMIN, answers={202: JobAccepted}, raises=("busy",))
def remove_user(login: str) -> Answer:
    """Off-board a user.

    The user's sessions end immediately, and a password change that is still running is cancelled; a job closes the
    accounts that Slipway created.
    """
    if not validation.NAME.fullmatch(login):
        raise Problem("not_found")

    def work(session: Session) -> tuple[Job, bool]:
        person = session.scalar(select(User).where(User.login == login).with_for_update())
        if person is None:
            raise Problem("not_found")
        for job in session.scalars(select(Job).where(Job.subject_id == person.id, Job.state.in_(OPEN))).all():
            if job.kind == OFFBOARD.name:
                audit.record(session, ActionKind.USER_OFF_BOARD, person, job=job, after={"is_new": False})
                return job, False
            if job.kind != CHANGE_PASSWORD.name:
                raise Problem("busy", SIGN_UP_RUNS, job_id=job.id)
            # People begin these themselves, one after another: nobody may put off their own off-boarding. A call that
            # is under way opens nothing anew, and an account that it makes is found by the ledger's intent.
            interventions.cancel(session, job.id, service().db.now())
            audit.record(session, ActionKind.JOB_CANCEL, job, job=job, reason="The person is off-boarded.")
        return _offboard(session, person), True

    def answer(session: Session) -> Answer:
        job, is_new = work(session)
        return accepted(job, is_new=is_new)

    return once(answer)


def _shown(user: User) -> UserShown:
    return UserShown(
        id=user.login,
        email=user.email,
        name=user.name,
        team=user.team_id,
        is_admin=user.is_admin,
        created_at=user.created_at,
        admitted_at=user.admitted_at,
        left_at=user.left_at,
    )


def _offboard(session: Session, person: User) -> Job:
    now = service().db.now()
    person.left_at = person.left_at or now
    auth.revoke_access_of(session, person)
    job = lifecycle.accept(
        session,
        OFFBOARD,
        now=now,
        subject_id=person.id,
        team_id=person.team_id,
        user_id=auth.require_user().id,
        request_id=request_id(),
        inputs={"login": person.login, "team": person.team_id},
    )
    audit.record(session, ActionKind.USER_OFF_BOARD, person, job=job)
    return job

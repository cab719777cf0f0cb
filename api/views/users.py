"""Off-boarding of users."""

from __future__ import annotations

from flask import Blueprint
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.access import audit, auth
from api.contract import validation
from api.contract.endpoint import Answer, Policy
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

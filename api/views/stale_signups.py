"""Release the login and e-mail address of stale sign-ups, so that the person can sign up again.

A sign-up is stale when it failed because somebody else has the login on an upstream: the person has to choose another
login, with the same e-mail address. While anything that was created for the failed sign-up exists, both stay taken.
"""

from __future__ import annotations

from sqlalchemy import Select, exists, or_, select
from sqlalchemy.orm import Session

from api.access import auth
from api.service import service
from api.views import invites
from common.database.models import Job, Resource, Step, User
from common.errors import Conflict
from common.states import OPEN, Provenance
from common.vault import sealed_passwords


def release_names(session: Session, *, login: str, email: str) -> None:
    """Rename users who hold either name and whose sign-up is stale; nobody can log in as them afterwards.

    Nobody else's row is locked: a sign-up with a taken name must not keep its owner waiting.
    """
    holders = session.scalars(select(User).where(or_(User.login == login, User.email == email))).all()
    for person in holders:
        if _is_stale(session, person):
            session.refresh(person, with_for_update=True)
        if _is_stale(session, person):
            person.left_at = person.left_at or service().db.now()
            person.login, person.email = f"gone-{person.id}", f"{person.id}@gone.invalid"
            invites.return_use(session, person)
            auth.end_sessions_of(session, person)
            sealed_passwords.wipe(session, _jobs_of(person))
    session.flush()


def _is_stale(session: Session, person: User) -> bool:
    is_running = exists().where(Job.subject_id == person.id, Job.state.in_(OPEN))
    has_resources = exists().where(
        Resource.subject_id == person.id, Resource.provenance.in_((Provenance.INTENDED, Provenance.CREATED))
    )
    has_conflict = exists().where(Step.job_id.in_(_jobs_of(person)), Step.code == Conflict.code)
    return bool(session.scalar(select(~is_running & ~has_resources & has_conflict)))


def _jobs_of(person: User) -> Select[str]:
    return select(Job.id).where(Job.subject_id == person.id)

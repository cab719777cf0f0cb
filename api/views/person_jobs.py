"""Jobs about a person's accounts that need the password: a sign-up, and the change of a password."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from api.service import service
from api.serving.accepted import request_id
from common.database.models import Job, User
from common.jobs import lifecycle
from common.jobs.lifecycle import Pending
from common.vault import sealed_passwords
from common.workflows import Workflow


def accept(
    session: Session,
    workflow: Workflow,
    person: User,
    *,
    password: str,
    pending: Pending | None = None,
    until: datetime | None = None,
) -> Job:
    """Accept a job about the accounts of a person, whose row is in the database, and seal the password for it.

    `pending` and `until`: why the job may not begin yet, and how long its password is kept meanwhile.
    """
    now = service().db.now()
    job = lifecycle.accept(
        session,
        workflow,
        now=now,
        subject_id=person.id,
        team_id=person.team_id,
        user_id=person.id,
        request_id=request_id(),
        inputs={"login": person.login, "email": person.email, "name": person.name, "team": person.team_id},
        pending=pending,
    )
    sealed_passwords.seal(session, service().vault, job_id=job.id, password=password, now=now, until=until)
    return job

"""Who may log in: people whose sign-up has made their accounts, until they leave.

A sign-up proves nothing but that somebody chose a password. What proves more is that GitLab, Jenkins and Elasticsearch
had nobody of this name, and let us make the accounts: until then there is no login, and so no rights of the team.
"""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from api.contract.problems import Problem
from api.service import service
from common.database.models import Job, SignupReview, User
from common.jobs import signup_reviews
from common.states import UNDECIDED, JobState
from common.workflows import MEMBERSHIP, OFFBOARD, SIGNUP


def require_admission(user: User) -> None:
    """Refuse somebody, whose password was right, who may not log in yet or any more.

    Raises Problem `account_closed`, `signup_unfinished`.
    """
    if user.left_at is not None:
        raise Problem("account_closed", f"The account {user.login} was closed.")
    job = service().db.read(lambda session: find_unfinished_sign_up(session, user))
    if job is not None:
        raise Problem("signup_unfinished", _why_unfinished(user, job), job_id=job.id)


def _why_unfinished(user: User, job: Job) -> str:
    if job.kind != SIGNUP.name:
        return f"{user.login} had left, and may sign up again with the same password."
    review = service().db.read(lambda session: session.get(SignupReview, job.id))
    if review is not None and review.state in UNDECIDED | signup_reviews.REFUSED:
        return signup_reviews.describe(review)
    return f"The sign-up of {user.login} is {job.state.value}."


def find_unfinished_sign_up(session: Session, user: User) -> Job | None:
    """Return the job that keeps a person from logging in, None when they may: their sign-up, or that they had left.

    Retention deletes only sign-ups that succeeded: none means that it did, or that a command made the account.
    """
    if user.admitted_at is not None:
        return None
    job = _newest(session, user, MEMBERSHIP)
    is_finished = job is None or (job.kind == SIGNUP.name and job.state is JobState.SUCCEEDED)
    return None if is_finished else job


def may_return(session: Session, user: User) -> bool:
    """Say whether a person who had left may sign up again: an administrator said so, and their accounts are closed."""
    if user.left_at is not None or user.admitted_at is not None:
        return False
    job = find_off_boarding(session, user)
    return job is not None and job.state is JobState.SUCCEEDED


def find_off_boarding(session: Session, user: User) -> Job | None:
    """Return the job that closes or closed the accounts, None when a sign-up is newer, or when it was deleted."""
    job = _newest(session, user, MEMBERSHIP)
    return job if job is not None and job.kind == OFFBOARD.name else None


def find_sign_up(session: Session, user: User) -> Job | None:
    """Return a person's newest sign-up, None when it was deleted or there was none."""
    return _newest(session, user, (SIGNUP.name,))


def _newest(session: Session, user: User, kinds: tuple[str, ...]) -> Job | None:
    own = select(Job).where(Job.subject_id == user.id, Job.kind.in_(kinds))
    return session.scalar(own.order_by(Job.id.desc()).limit(1))


def admit(session: Session, user: User) -> None:
    """Record that the person has logged in: from now on neither their name nor their address is released."""
    if user.admitted_at is None:
        first = update(User).where(User.id == user.id, User.admitted_at.is_(None))
        session.execute(first.values(admitted_at=service().db.now()))

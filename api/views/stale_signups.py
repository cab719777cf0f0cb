"""Release the login and e-mail address of stale sign-ups, so that the same person can sign up again.

A sign-up is stale when it failed because somebody else has the login on an upstream: the person has to choose another
login, with the same e-mail address. So is one that was rejected or cancelled before it began, or that nobody answered
in time. While anything that was created for the failed sign-up exists, both stay taken. One whose e-mail address was to
be confirmed, and never was, holds its names against nobody, whatever ended it.

Only the person who has the password of that sign-up, or an operator, releases its names: else anybody could put others
out of the way. Whoever has logged in, is an administrator or made something is never renamed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import ColumnElement, Select, exists, or_, select, true
from sqlalchemy.orm import Session

from api.access import admission, auth, rate_limits
from api.contract import accounts, validation
from api.contract.problems import Problem
from api.service import service
from api.views import invites
from common.database.models import Job, Project, Resource, SignupReview, Step, User
from common.errors import Conflict
from common.jobs import signup_reviews
from common.states import OPEN, Provenance
from common.vault import sealed_passwords
from common.workflows import CHANGE_PASSWORD, SIGNUP


def find_own(*, login: str, email: str, password: str) -> list[str]:
    """Return the ids of those who hold either name by a stale sign-up, or may return, and have this password.

    Passwords are verified outside any transaction, because hashing takes tens of milliseconds. Raises Problem `taken`
    when one has another password, which counts as a wrong one, and `too_many_requests`.
    """
    free = service().db.read(
        lambda session: [
            (each, _is_anybodys(session, each)) for each in _holders(session, login, email) if _is_free(session, each)
        ]
    )
    for person, is_anybodys in free:
        if is_anybodys:
            continue
        with rate_limits.limit_password_attempts(person.login):
            if not service().passwords.is_right(password, person.password_hash):
                taken = service().db.read(lambda session: accounts.find_taken(session, login=login, email=email))
                raise Problem("taken", errors=taken)
    return [person.id for person, _ in free]


def find_returning(session: Session, *, login: str, email: str, of: Collection[str]) -> User | None:
    """Return the person with both names who left and may return, locked; `of` are those whose password was right."""
    own = select(User).where(User.login == login, User.email == email, User.id.in_(of)).with_for_update()
    person = session.scalar(own)
    return person if person is not None and admission.may_return(session, person) else None


def release_names(session: Session, *, login: str, email: str, of: Collection[str] | None = None) -> None:
    """Rename those who hold either name by a stale sign-up; `of` are the only ids that may be renamed, None: any.

    Nobody else's row is locked: a sign-up with a taken name must not keep its owner waiting.
    """
    for person in _holders(session, login, email):
        if (of is None or person.id in of) and _is_stale(session, person):
            session.refresh(person, with_for_update=True)
            if _is_stale(session, person):
                rename_away(session, person)
    session.flush()


def rename_away(session: Session, person: User) -> None:
    """Take login and e-mail address from a person, whom nobody can log in as afterwards."""
    person.left_at = person.left_at or service().db.now()
    person.login, person.email = f"{validation.RENAMED}{person.id}", f"{person.id}@gone.invalid"
    invites.return_use(session, person)
    auth.revoke_access_of(session, person)
    sealed_passwords.wipe(session, _jobs_of(person))


def _holders(session: Session, login: str, email: str) -> Sequence[User]:
    return session.scalars(select(User).where(or_(User.login == login, User.email == email))).all()


def _is_free(session: Session, person: User) -> bool:
    return _is_stale(session, person) or admission.may_return(session, person)


def _is_stale(session: Session, person: User) -> bool:
    if person.admitted_at is not None or person.is_admin or admission.may_return(session, person):
        return False
    is_running = exists().where(Job.subject_id == person.id, Job.state.in_(OPEN))
    has_conflict = exists().where(Step.job_id.in_(_jobs_of(person)), Step.code == Conflict.code)
    review = _review_of(session, person)
    is_refused = review is not None and review.state in signup_reviews.REFUSED
    has_failed = ~is_running & (true() if is_refused else has_conflict)
    return bool(session.scalar(select(has_failed & ~has_accounts(person) & ~_has_made_anything(person))))


def _is_anybodys(session: Session, person: User) -> bool:
    """Say whether nobody has shown that either name is theirs: the address was to be confirmed, and never was."""
    job, review = admission.find_sign_up(session, person), _review_of(session, person)
    return job is not None and review is not None and signup_reviews.is_never_confirmed(job, review)


def _review_of(session: Session, person: User) -> SignupReview | None:
    job = admission.find_sign_up(session, person)
    return session.get(SignupReview, job.id) if job else None


def has_accounts(person: User) -> ColumnElement[bool]:
    """Return whether anything may exist on upstreams that was made for a person."""
    is_there = Resource.provenance.in_((Provenance.INTENDED, Provenance.CREATED))
    return exists().where(Resource.subject_id == person.id, is_there)


def _has_made_anything(person: User) -> ColumnElement[bool]:
    has_projects = exists().where(Project.created_by == person.id)
    has_jobs = exists().where(Job.user_id == person.id, Job.kind.not_in((SIGNUP.name, CHANGE_PASSWORD.name)))
    return has_projects | has_jobs


def _jobs_of(person: User) -> Select[str]:
    return select(Job.id).where(Job.subject_id == person.id)

"""Retention: jobs that ended long ago and that nothing needs any more are deleted, with all their rows, in batches.

What stays, however old it is:

    of the ledger      a job that a row names, unless that is the trace of the job's own run: a build, a sync
    of an app          the newest job of each kind and the last good ones, which say how the app is, what runs, and the
                       addresses of its parts; the deployments that a rollback may go back to; the newest build whose
                       tag is known, and the newest good build, so that the one before does not pass for it
    of a person        the newest sign-up or off-boarding: a sign-up unless it succeeded, since it can be retried, or
                       has to free their names; an off-boarding until they are back, since it lets them return
    what failed        and stays for one of these reasons keeps the newer ones of its kind and app: without them it
                       would appear to be the newest, and could be retried; so does every sign-up and off-boarding
                       that stays, of its person

Jobs are deleted oldest first, in small transactions, so a pass may stop anywhere and a later one continues. Any number
of passes may run at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, cast

from sqlalchemy import ColumnElement, and_, delete, exists, or_, select
from sqlalchemy.orm import Session, aliased

from common import audit
from common.audit import ActionKind, Channel, Origin, Subject
from common.config.settings import Settings
from common.database.engine import Database
from common.database.ids import first_id
from common.database.models import App, Attempt, ConsoleChunk, Event, Job, Resource, SignupReview, Step, User
from common.jobs import app_facts, builds, deployments
from common.jobs.ledger import OF_A_RUN
from common.states import OPEN, JobState
from common.vault import sealed_passwords
from common.workflows import MEMBERSHIP, OFFBOARD, SIGNUP

JOBS = 50  # examined at once, and deleted in one transaction
EVERY_S = 60.0  # between two batches of a worker
OF_A_WORKER = Origin(channel=Channel.WORKER)
SKEW = timedelta(minutes=5)  # an id has the time of the host that made it, `finished_at` that of the database's host


@dataclass(frozen=True, kw_only=True)
class Swept:
    """How many of some jobs were deleted and kept, by kind, and how many rows were deleted."""

    gone: Counter[str]
    kept: Counter[str]
    rows: int


def sweep(
    db: Database, settings: Settings, *, before: datetime, is_dry: bool = False, origin: Origin = OF_A_WORKER
) -> Iterator[Swept]:
    """Delete the jobs that ended before a time and are not needed, and yield after some of them.

    `origin`: who does that, for the audit.
    """
    judge = _Selection(settings, before)
    page = db.read(partial(_next, "", before))
    while page:
        going = db.read(partial(judge.going, page))
        rows = 0 if is_dry or not going else db.transaction(partial(_delete, going, before, origin, db.now()))
        kinds = {job.id: job.kind for job in page}
        yield Swept(
            gone=Counter(kinds[job_id] for job_id in going),
            kept=Counter(kind for job_id, kind in kinds.items() if job_id not in going),
            rows=rows,
        )
        page = db.read(partial(_next, page[-1].id, before))


class RetentionSweeper:
    """Sweeps periodically, as RETENTION_DAYS requires, one batch at a time."""

    def __init__(self, db: Database, settings: Settings) -> None:
        self._db = db
        self._settings = settings
        self._pass: Iterator[Swept] = iter(())

    def sweep_some(self) -> None:
        """Examine one batch of jobs, and delete those that are not needed; does nothing when no days are set."""
        days = self._settings.retention_days
        if days and next(self._pass, None) is None:
            self._pass = sweep(self._db, self._settings, before=self._db.now() - timedelta(days=days))


# -- selection ----------------------------------------------------------------------------------------------------


def _next(after: str, before: datetime, session: Session) -> Sequence[Any]:
    """Return the next jobs in the order of their ids: id, kind, state, app, subject."""
    return session.execute(
        select(Job.id, Job.kind, Job.state, Job.app_id, Job.subject_id)
        .where(Job.id > after, Job.id < first_id(before + SKEW))
        .order_by(Job.id)
        .limit(JOBS)
    ).all()


class _Selection:
    """Decides which jobs are deleted. It has to see all of them in the order of their ids, and keeps what it found.

    What an app needs is read once: whatever begins later is too young to be deleted.
    """

    def __init__(self, settings: Settings, before: datetime) -> None:
        self._settings = settings
        self._before = before
        self._needed: dict[str, frozenset[str]] = {}  # by app
        self._held: set[tuple[str, str]] = set()  # series of which an older job stays that could pass for the newest

    def going(self, page: Sequence[Any], session: Session) -> set[str]:
        """Return the ids of those that are deleted."""
        ids = [job.id for job in page]
        free = set(session.scalars(select(Job.id).where(Job.id.in_(ids), *_is_over(self._before), ~_is_needed())))
        going = set()
        for job in page:
            if job.id in free and _series(job) not in self._held and self._is_needless(job, session):
                going.add(job.id)
            elif job.state is JobState.FAILED or job.kind in MEMBERSHIP:
                self._held.add(_series(job))
        return going

    def _is_needless(self, job: Any, session: Session) -> bool:
        if job.app_id is None:
            return True
        if job.app_id not in self._needed:
            self._needed[job.app_id] = frozenset(_needed_of_app(session, self._settings, job.app_id))
        return job.id not in self._needed[job.app_id]


def _series(job: Any) -> tuple[str, str]:
    """Return what a job has in common with those that it replaces: the app or the person, and the kind."""
    return (job.subject_id, "membership" if job.kind in MEMBERSHIP else job.kind)


def _is_over(before: datetime) -> tuple[ColumnElement[bool], ...]:
    return Job.state.not_in(OPEN), Job.finished_at < before


def _is_needed() -> ColumnElement[bool]:
    is_in_ledger = exists().where(Resource.job_id == Job.id, Resource.kind.not_in(OF_A_RUN))
    newer = aliased(Job)
    is_replaced = exists().where(newer.subject_id == Job.subject_id, newer.kind.in_(MEMBERSHIP), newer.id > Job.id)
    person = exists().where(User.id == Job.subject_id)
    is_unfinished_sign_up = and_(
        Job.kind == SIGNUP.name, Job.state != JobState.SUCCEEDED, person.where(User.left_at.is_(None))
    )
    is_of_who_left = and_(
        Job.kind == OFFBOARD.name, person.where(or_(User.left_at.is_not(None), User.admitted_at.is_(None)))
    )
    return or_(is_in_ledger, and_(or_(is_unfinished_sign_up, is_of_who_left), ~is_replaced))


def _needed_of_app(session: Session, settings: Settings, app_id: str) -> Iterator[str]:
    """Yield the ids of the jobs that an app needs, as long as it is not removed."""
    if session.scalar(select(App.id).where(App.id == app_id, App.claimed_name.is_not(None))) is None:
        return
    yield from app_facts.sources(session, app_id)
    good = builds.newest_good(session, app_id)
    if (known := next((each for each in good if each.tags), None)) is not None:
        yield from (known.job.id, good[0].job.id)
    for each in deployments.needed(deployments.newest_first(session, settings, app_id)):
        yield each.job.id


# -- deletion --------------------------------------------------------------------------------------------------


def _delete(ids: Iterable[str], before: datetime, origin: Origin, now: datetime, session: Session) -> int:
    """Delete those that are still over, record it, and return how many rows that were.

    What was retried meanwhile stays, and what somebody has locked stays until a later pass.
    """
    over = select(Job.id).where(Job.id.in_(ids), *_is_over(before)).order_by(Job.id)
    jobs = session.scalars(over.with_for_update(skip_locked=True)).all()
    if jobs:
        after = {"before": before.isoformat(), "deleted": len(jobs)}
        audit.record(session, ActionKind.JOBS_PRUNE, Subject(kind="jobs"), origin=origin, at=now, after=after)
    steps = session.scalars(select(Step.id).where(Step.job_id.in_(jobs))).all()
    passwords = sealed_passwords.wipe(session, jobs)
    statements = (
        delete(Attempt).where(Attempt.step_id.in_(steps)),
        delete(Step).where(Step.job_id.in_(jobs)),
        delete(Event).where(Event.job_id.in_(jobs)),
        delete(SignupReview).where(SignupReview.id.in_(jobs)),
        delete(ConsoleChunk).where(ConsoleChunk.job_id.in_(jobs)),
        delete(Resource).where(Resource.job_id.in_(jobs), Resource.kind.in_(OF_A_RUN)),
        delete(Job).where(Job.id.in_(jobs)),
    )
    unnoticed = {"synchronize_session": False}  # no object of this session is one of them
    rows: int = sum(
        cast("Any", session.execute(statement, execution_options=unnoticed)).rowcount for statement in statements
    )
    return passwords + rows

"""The ledger: the objects on upstreams that jobs created or found.

The intent is written before the call that creates, the provenance after it. A crash in between leaves `intended`: the
next attempt reads, and what then carries our marker was made by us. Undo removes what is `created`, nothing else.

Each change is made in one transaction with the check of the claim: a worker that lost it changes no row.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from common import horizons, workflows
from common.database.engine import Database
from common.database.models import Attempt, Job, Resource, Step
from common.jobs import claims
from common.jobs.claims import Claim
from common.jobs.outcomes import REFUSALS
from common.states import Outcome, Provenance

ANSWERED = frozenset({Outcome.SUCCEEDED, Outcome.FAILED})  # the attempt left no call behind whose outcome is unknown
LONGEST_CALL_S = 90.0  # no client waits longer for one answer
ARRIVAL_MARGIN_S = 5.0
OURS = frozenset({Provenance.INTENDED, Provenance.CREATED})
OF_A_RUN = ("build", "sync", "unprotection")  # kinds that are traces of one job: there is nothing of them to remove


class Entry:
    """One object of the running step: `intend` before the create, `settle` once it is known to exist."""

    def __init__(self, db: Database, claim: Claim, *, upstream: str, kind: str, ref: str) -> None:
        self._db = db
        self._claim = claim
        self._upstream = upstream
        self._kind = kind
        self._ref = ref

    def intend(self) -> None:
        """Record that we are about to create it, if the claim is still ours. Raises ClaimLostError.

        This is the fence: a worker whose lease ran out gets no further than here.
        """

        def work(session: Session) -> None:
            claims.require_held(session, self._claim, self._db.now())
            row = self._find(session) or self._new(session)
            row.provenance = Provenance.INTENDED
            row.outside_id = row.url = None  # they would be those of an earlier one, which is gone
            self._sign(row)

        self._db.repeatable(work)

    def may_arrive_for_s(self) -> float:
        """Return for how many seconds the call of an earlier attempt that creates it may still arrive; 0: none can.

        For what has no name that would make a second creation fail: whoever does not find it waits so long.
        """

        row = self._db.read(self._find)
        if row is None or row.provenance is not Provenance.INTENDED:
            return 0.0
        if (row.job_id, row.step, row.attempt) == self._signature:  # a poll that reported
            return 0.0
        return may_arrive_for_s(self._db, self._claim, row)

    def is_ours(self) -> bool:
        """Say whether it was created, or about to be, by this attempt or an earlier one."""
        row = self._db.read(self._find)
        return row is not None and row.provenance in OURS

    def withdraw(self) -> None:
        """Record that this attempt's intent was refused: whatever is found there later was made by others.

        Raises ClaimLostError, as everything here that writes.
        """

        def work(session: Session) -> None:
            row = self._find(session)
            mine = (self._claim.job.id, self._claim.attempt)
            if row is not None and row.provenance is Provenance.INTENDED and (row.job_id, row.attempt) == mine:
                row.provenance, row.updated_at = Provenance.GONE, self._db.now()

        claims.while_ours(self._db, self._claim, work)

    def finish(self) -> None:
        """Record that what this attempt or an earlier one intended is over, and leaves nothing. Raises ClaimLostError.

        For what is done rather than made.
        """

        def work(session: Session) -> None:
            row = self._find(session)
            if row is not None and row.provenance is Provenance.INTENDED:
                row.provenance, row.updated_at = Provenance.GONE, self._db.now()

        claims.while_ours(self._db, self._claim, work)

    def settle(self, *, outside_id: str, url: str | None, found: bool) -> None:
        """Record that it exists. `found`: it was there before this attempt. Raises ClaimLostError."""

        def work(session: Session) -> None:
            row = self._find(session) or self._new(session)
            if row.provenance is Provenance.INTENDED:
                row.provenance = Provenance.CREATED
            elif row.provenance is Provenance.GONE:  # what we did not intend was made by somebody else
                row.provenance = Provenance.ADOPTED if found else Provenance.CREATED
            elif (row.outside_id, row.url) == (outside_id, url):
                return
            row.outside_id, row.url = outside_id, url
            self._sign(row)

        claims.while_ours(self._db, self._claim, work)

    def _find(self, session: Session) -> Resource | None:
        return session.scalar(
            select(Resource).where(
                Resource.subject_id == self._claim.job.subject_id,
                Resource.upstream == self._upstream,
                Resource.kind == self._kind,
                Resource.ref == self._ref,
            )
        )

    def _new(self, session: Session) -> Resource:
        row = Resource(
            subject_id=self._claim.job.subject_id,
            upstream=self._upstream,
            kind=self._kind,
            ref=self._ref,
            provenance=Provenance.GONE,  # until it is intended or found
            created_at=self._db.now(),
        )
        session.add(row)
        return row

    @property
    def _signature(self) -> tuple[str, str, int]:
        return self._claim.job.id, self._claim.step.name, self._claim.attempt

    def _sign(self, row: Resource) -> None:
        row.job_id, row.step, row.attempt = self._signature
        row.updated_at = self._db.now()


def rows_of(session: Session, subject_id: str, *, upstream: str, kind: str) -> list[Resource]:
    """Return the rows of one kind, whatever their provenance, in the order they were written."""
    statement = select(Resource).where(
        Resource.subject_id == subject_id, Resource.upstream == upstream, Resource.kind == kind
    )
    return list(session.scalars(statement.order_by(Resource.id)))


def may_arrive_for_s(db: Database, claim: Claim, row: Resource) -> float:
    """Return for how many seconds a call of the attempt that signed the row may still create it, unseen; 0: none can.

    A row of the future was written before the clock was set back, nobody knows when: from now on, a call of then has
    the time that one of now would have. Raises ClaimLostError.
    """
    now = db.now()
    if row.updated_at > now + timedelta(seconds=horizons.SKEW_S):
        row.updated_at = now
        written = update(Resource).where(Resource.id == row.id).values(updated_at=now)
        claims.while_ours(db, claim, lambda session: session.execute(written))
    until = db.read(lambda session: _may_arrive_until(session, row))
    return max(0.0, (until - db.now()).total_seconds())


def _may_arrive_until(session: Session, row: Resource) -> datetime:
    """Return until when.

    It was sent before the attempt's limit, and before the attempt had ended or was lost: the fence stands before each
    call. From then on it has the time of the longest call. Who succeeded, failed for good or was refused had an answer.
    """
    signed = session.execute(
        select(Job.kind, Attempt.outcome, Attempt.code, Attempt.finished_at)
        .join(Step, Step.job_id == Job.id)
        .join(Attempt, Attempt.step_id == Step.id)
        .where(Job.id == row.job_id, Step.name == row.step, Attempt.number == row.attempt)
    ).one()
    plan = workflows.find_step(signed.kind, row.step)
    if plan is None or signed.outcome in ANSWERED or signed.code in REFUSALS:
        return row.updated_at
    by_limit: datetime = row.updated_at + timedelta(seconds=plan.limit_s + ARRIVAL_MARGIN_S)
    if signed.finished_at is None:
        return by_limit
    ended_at: datetime = signed.finished_at
    return min(by_limit, ended_at + timedelta(seconds=LONGEST_CALL_S + ARRIVAL_MARGIN_S))


def withdraw(db: Database, claim: Claim) -> None:
    """Record that what the step intended was never created: somebody else's is in its place. Raises ClaimLostError."""
    intended = (
        Resource.subject_id == claim.job.subject_id,
        Resource.step == claim.step.name,
        Resource.provenance == Provenance.INTENDED,
    )
    gone = update(Resource).where(*intended).values(provenance=Provenance.GONE, updated_at=db.now())
    claims.while_ours(db, claim, lambda session: session.execute(gone))


def mark_gone(db: Database, claim: Claim, resource_id: str) -> None:
    """Record that it no longer exists. Raises ClaimLostError."""

    def work(session: Session) -> None:
        row = session.get_one(Resource, resource_id)
        row.provenance, row.updated_at = Provenance.GONE, db.now()

    claims.while_ours(db, claim, work)

"""Claims: the right to run one attempt of a step, its lease, and the checks that it is still held.

A claim is a token and a lease in the step's row, and its slots. The worker renews the lease while it runs the attempt.
Whatever is written under a claim needs the same token, in the same transaction: a worker that lost it changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from common import workflows
from common.admission import slots
from common.database.engine import Database, Now, matched
from common.database.models import Job, Step
from common.jobs.lifecycle import lock
from common.states import OPEN

T = TypeVar("T")

LEASE_S = 8.0  # a worker that renews no more loses its claims after this


class ClaimRefused(StrEnum):
    """Why a claim was not granted."""

    DONE = "the step has been done"
    NOT_NOW = "it is not the step's turn, or another worker has it"
    OVER = "the job is over"
    UNKNOWN = "this version knows no such step"


class ClaimLostError(Exception):
    """The lease ran out and the step is another worker's, or the job is over: what we know is stale."""


@dataclass(frozen=True, kw_only=True)
class ClaimedJob:
    """What an attempt knows of its job: what never changes in its row."""

    id: str
    kind: str
    subject_id: str
    app_id: str | None
    input: Mapping[str, Any]
    request_id: str
    traceparent: str | None


@dataclass(frozen=True, kw_only=True)
class ClaimedStep:
    """What an attempt knows of its step, as of the claim."""

    id: str
    name: str
    waiting_since: datetime | None


@dataclass(frozen=True, kw_only=True)
class Claim:
    """The right to run one attempt."""

    job: ClaimedJob
    step: ClaimedStep
    plan: workflows.StepPlan
    token: str
    attempt: int  # counted over the whole life of the step
    tries: int  # counted since the last retry by a person: what the policy counts
    admission: slots.Admission
    at: datetime


def renew(db: Database, claim: Claim) -> bool:
    """Prolong a claim to LEASE_S from now, though its lease may be over; False when it is not held any more.

    Slots first: a claim whose slot has become another step's is not renewed. Each row is changed by a statement that
    commits itself, so that a worker that is stopped meanwhile leaves none locked.
    """
    until = db.now() + timedelta(seconds=LEASE_S)
    is_held = (Step.id == claim.step.id, Step.claim_token == claim.token)
    renewed = update(Step).where(*is_held).values(lease_until=until, nudge_at=until)
    return all(db.run(each) for each in (*slots.extensions(claim.admission, claim.token, until), renewed))


def renew_in(session: Session, claim: Claim, clock: Now) -> bool:
    """Renew a claim that may have been made; the lock waits until a commit that is under way has ended."""
    try:
        _job, step = held(session, claim)
    except ClaimLostError:
        return False
    until = clock() + timedelta(seconds=LEASE_S)
    if not all(matched(session.execute(each)) for each in slots.extensions(claim.admission, claim.token, until)):
        return False
    step.lease_until = step.nudge_at = until
    return True


def release(db: Database, claim: Claim) -> None:
    """Release the slots of a lost claim, now that nothing is done under it any more."""
    db.repeatable(lambda session: slots.release(session, claim.admission, claim.token, db.now()))


def require_held(session: Session, claim: Claim, now: datetime) -> None:
    """Check inside the caller's transaction that the claim is held. Raises ClaimLostError."""
    _job, step = held(session, claim)
    if step.lease_until is None or step.lease_until <= now:
        raise ClaimLostError


def held_until(session: Session, claim: Claim) -> datetime | None:
    """Return when the claim's lease ends, None when the claim is lost: what is asked before a call that writes.

    One statement that locks nothing.
    """
    lease_until = (
        select(Step.lease_until)
        .join(Job, Job.id == Step.job_id)
        .where(Step.id == claim.step.id, Step.claim_token == claim.token, Job.state.in_(list(OPEN)))
    )
    return session.scalar(lease_until)


def while_ours(db: Database, claim: Claim, work: Callable[[Session], T]) -> T:
    """Run `work` in one transaction if nobody else has claimed the step since, and the job is not over.

    For what is recorded *after* a call: while the token is ours nobody else has come, though the lease may be over.
    `work` does the same when it is committed twice. Raises ClaimLostError; nothing is changed then.
    """

    def checked(session: Session) -> T:
        held(session, claim)
        return work(session)

    return db.repeatable(checked, outlasts_locks=True)


def held(session: Session, claim: Claim) -> tuple[Job, Step]:
    """Lock the job, and return it and the step, if nobody else has claimed it since. Raises ClaimLostError."""
    job = lock(session, claim.job.id)
    step = session.get_one(Step, claim.step.id)
    if job is None or job.state not in OPEN or step.claim_token != claim.token:
        raise ClaimLostError
    return job, step

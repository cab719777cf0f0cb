"""Retry all failed jobs that match a filter, newest first, each in its own transaction.

So one refusal does not stop the others, and no lock is held for long. One request scans a bounded number of failed
jobs; `next` is the cursor for the following request.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Annotated

from pydantic import Field, StrictBool, StrictInt
from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from api.access import audit
from api.contract import accounts, pagination
from api.contract.accounts import Login
from api.contract.endpoint import Answer, JsonInteger, RequestBody, ResponseBody
from api.contract.pagination import Id, Kind, TeamName
from api.contract.problems import CODES, Problem
from api.contract.timestamps import Timestamp
from api.presentation import links
from api.service import service
from api.serving.idempotency import once
from api.views import app_jobs
from common.audit import ActionKind, Subject
from common.database import time_budget
from common.database.ids import EPOCH, first_id
from common.database.models import Job, Step
from common.database.repeats import CommitUnknownError
from common.jobs import lane_messages
from common.jobs.interventions import NotPossibleError
from common.jobs.lane_messages import LaneMessage
from common.states import JobState, StepState
from common.workflows import DEPROVISION

log = logging.getLogger(__name__)

RetryOne = Callable[[Session, str], Job]  # retries the failed job of this id, or raises the reason for a refusal

BATCH_SIZE, MAX_BATCHES = 1_000, 10  # failed jobs in one query, and queries in one request


class RetryAll(RequestBody):
    """The failed jobs to retry. A job must match every field that is set.

    With none set, all failed jobs match except removals of apps: these match only if `kind` is `deprovision`.
    """

    kind: Kind | None = None
    app_id: Id | None = None
    team: TeamName | None = None
    user: Annotated[Login | None, Field(description="Only jobs started by the user with this login.")] = None
    code: Annotated[
        str | None,
        Field(pattern=r"^[a-z][a-z0-9_]{0,63}$", description="Only jobs with a step that failed with this `code`."),
    ] = None
    since: Annotated[Timestamp | None, Field(description="Only jobs created at or after this time.")] = None
    cursor: Annotated[Id | None, Field(description="The `next` of the previous response.")] = None
    limit: Annotated[
        StrictInt, Field(ge=1, le=100, description="Maximum number of jobs, including refused ones."), JsonInteger
    ] = 50
    dry_run: Annotated[StrictBool, Field(description="Change nothing; only report what would be retried.")] = False


class Retried(ResponseBody):
    """A job that was resumed."""

    job_id: str
    status_url: str


class NotRetried(ResponseBody):
    """A failed job that cannot be retried now. `code` and `reason` are those of its own retry endpoint."""

    job_id: str
    code: str
    reason: str


class Retries(ResponseBody):
    """The outcome for each matching job. `more` is true if there may be further jobs; send `next` as `cursor`."""

    retried: list[Retried]
    refused: list[NotRetried]
    more: bool
    next: str | None


def retry_all(which: RetryAll, retry_one: RetryOne) -> Answer:
    """Answer with the outcome for each matching job.

    The work is many transactions, so the idempotency key cannot be claimed together with it: the answer is stored at
    the end. A repeated request in the meantime does no harm, because a job that was retried is no longer failed.
    """
    body, lanes = retry_matching(which, retry_one)
    time_budget.renew()  # locked jobs may have used it up, and what was retried must be told

    def work(session: Session) -> Answer:
        if which.dry_run:
            audit.nothing_done()
        else:
            record(session, which, retried=len(body.retried), refused=len(body.refused))
        return Answer(body=body, lanes=lanes)

    return once(work)


def record(session: Session, which: RetryAll, *, retried: int, refused: int) -> None:
    """Record that somebody had jobs retried, besides an act for each of them."""
    filters = which.model_dump(mode="json", exclude_defaults=True, exclude={"cursor", "limit"})
    after = {**filters, "retried": retried, "refused": refused}
    audit.record(session, ActionKind.JOBS_RETRY, Subject(kind="jobs", team_id=which.team), after=after)


def retry_matching(which: RetryAll, retry_one: RetryOne) -> tuple[Retries, list[LaneMessage]]:
    """Retry the matching jobs with `retry_one`. Returns the outcome, and the lane messages that may be sent."""
    matches, following = service().db.read(lambda session: _find(session, which))
    batch = (_DryRun if which.dry_run else _Batch)(retry_one)
    batch.attempt_all(matches)
    done = Retries(retried=batch.retried, refused=batch.refused, more=following is not None, next=following)
    return done, batch.lanes


Refusal = Problem | NotPossibleError


class _Batch:
    """Retries jobs one after another and records the outcomes."""

    def __init__(self, retry_one: RetryOne) -> None:
        self.retry_one = retry_one
        self.retried: list[Retried] = []
        self.refused: list[NotRetried] = []
        self.lanes: list[LaneMessage] = []

    def attempt_all(self, matches: Sequence[tuple[str, str]]) -> None:
        """Retry jobs, given with the ids of their subjects, each in its own transaction."""
        for job_id, _subject_id in matches:
            self.attempt([job_id])

    def attempt(self, job_ids: Sequence[str]) -> None:
        """Retry jobs in one transaction, or give them up where the time is spent or the database fails."""
        if time_budget.is_spent():
            self._give_up(job_ids)
            return
        try:
            outcomes = self.run(job_ids)
        except (SQLAlchemyError, CommitUnknownError):  # the jobs before them were retried and must be reported
            log.exception("retry_failed", extra={"job_ids": job_ids})
            self._give_up(job_ids)
            return
        for job_id, refusal in outcomes.items():
            self._record(job_id, refusal)
        time_budget.renew()

    def run(self, job_ids: Sequence[str]) -> dict[str, Refusal | None]:
        """Return why each was refused, None for those that were not."""
        [job_id] = job_ids
        db = service().db
        try:
            self.lanes += db.transaction(
                lambda session: lane_messages.of_resumed_job(session, self.retry_one(session, job_id))
            )
        except (Problem, NotPossibleError) as refusal:
            return {job_id: refusal}
        return {job_id: None}

    def _record(self, job_id: str, refusal: Refusal | None) -> None:
        match refusal:
            case None:
                self.retried.append(Retried(job_id=job_id, status_url=links.of_call(f"/jobs/{job_id}")))
            case Problem():
                self._refuse(job_id, refusal.code, refusal.detail or CODES[refusal.code].title)
            case _:
                self._refuse(job_id, refusal.code, str(refusal))

    def _give_up(self, job_ids: Sequence[str]) -> None:
        for job_id in job_ids:
            self._refuse(
                job_id, "unavailable", "The database is unavailable. Check the state of the job and try again."
            )

    def _refuse(self, job_id: str, code: str, reason: str) -> None:
        self.refused.append(NotRetried(job_id=job_id, code=code, reason=reason))


class _ForeseenError(Exception):
    """Rolls back the transaction of a dry run, and says what it has foreseen."""

    def __init__(self, outcomes: dict[str, Refusal | None]) -> None:
        super().__init__()
        self.outcomes = outcomes


class _DryRun(_Batch):
    """The same, rolled back.

    A retried job may conflict with the next one of the same app or person, so all jobs of a subject share a
    transaction; what a refused one has changed is rolled back at once.
    """

    def attempt_all(self, matches: Sequence[tuple[str, str]]) -> None:
        of_subject = defaultdict[str, list[str]](list)
        for job_id, subject_id in matches:
            of_subject[subject_id].append(job_id)
        for job_ids in of_subject.values():
            self.attempt(job_ids)
        for found in (self.retried, self.refused):
            found.sort(key=lambda each: each.job_id, reverse=True)  # newest first, as they were given

    def run(self, job_ids: Sequence[str]) -> dict[str, Refusal | None]:
        def foresee(session: Session) -> None:
            outcomes: dict[str, Refusal | None] = {}
            for job_id in job_ids:
                try:
                    with session.begin_nested():
                        self.retry_one(session, job_id)
                except (Problem, NotPossibleError) as refusal:
                    outcomes[job_id] = refusal
                else:
                    outcomes[job_id] = None
                time_budget.renew()
            raise _ForeseenError(outcomes)

        try:
            service().db.transaction(foresee)
        except _ForeseenError as foreseen:
            return foreseen.outcomes
        raise AssertionError("a dry run is never committed")


def _find(session: Session, which: RetryAll) -> tuple[Sequence[tuple[str, str]], str | None]:
    """Return the ids of matching jobs that are still relevant, with those of their subjects, and the next cursor."""
    user_id = accounts.find_id(session, which.user) if which.user is not None else None
    if which.user is not None and user_id is None:
        return [], None
    columns = {"kind": which.kind, "state": JobState.FAILED, "user_id": user_id}
    filters = {name: value for name, value in columns.items() if value is not None}
    conditions = [*_conditions(which, filters), *app_jobs.still_relevant()]
    matches: list[tuple[str, str]] = []
    below = which.cursor
    for _ in range(MAX_BATCHES):
        batch_ids = session.scalars(_failed(which, filters, below).limit(BATCH_SIZE)).all()
        matching = select(Job.id, Job.subject_id).where(Job.id.in_(batch_ids), *conditions).order_by(Job.id.desc())
        matches += [(job_id, subject_id) for job_id, subject_id in session.execute(matching)]
        if len(matches) > which.limit:
            return matches[: which.limit], matches[which.limit - 1][0]
        if len(batch_ids) < BATCH_SIZE:
            return matches, None
        below = batch_ids[-1]
    return matches, below


def _failed(which: RetryAll, filters: pagination.Filters, below: str | None) -> Select[str]:
    """Return the query for failed jobs, newest first, with the filters that an index supports."""
    bounds = [Job.id >= first_id(max(EPOCH, which.since - pagination.CLOCK_SKEW))] if which.since is not None else []
    if which.app_id is not None:
        filters = {"app_id": which.app_id, **filters}
    elif which.team is not None:
        filters = {"team_id": which.team, **filters}
    else:
        filters = {"state": JobState.FAILED}
    return pagination.newest(Job, filters, *bounds, below=below)


def _conditions(which: RetryAll, filters: pagination.Filters) -> list[ColumnElement[bool]]:
    conditions = [getattr(Job, name) == value for name, value in filters.items()]
    if which.kind is None:  # what cannot be undone is retried only by those who mean it
        conditions.append(Job.kind != DEPROVISION.name)
    if which.team is not None:
        conditions.append(Job.team_id == which.team)
    if which.since is not None:
        conditions.append(Job.created_at >= which.since)
    if which.code is not None:
        failed = select(Step.id).where(Step.job_id == Job.id, Step.state == StepState.FAILED, Step.code == which.code)
        conditions.append(failed.limit(1).scalar_subquery().is_not(None))
    return conditions

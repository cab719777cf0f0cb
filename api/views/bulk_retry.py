"""Retry all failed jobs that match a filter, newest first, each in its own transaction.

So one refusal does not stop the others, and no lock is held for long. One request scans a bounded number of failed
jobs; `next` is the cursor for the following request.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Annotated

from pydantic import Field, StrictBool, StrictInt
from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

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
from common.database import time_budget
from common.database.ids import EPOCH, first_id
from common.database.models import Job, Step
from common.database.repeats import CommitUnknownError
from common.jobs import lane_messages
from common.jobs.interventions import NotPossibleError
from common.jobs.lane_messages import LaneMessage
from common.states import JobState, StepState

log = logging.getLogger(__name__)

RetryOne = Callable[[Session, str], Job]  # retries the failed job of this id, or raises the reason for a refusal

BATCH_SIZE, MAX_BATCHES = 1_000, 10  # failed jobs in one query, and queries in one request


class RetryAll(RequestBody):
    """The failed jobs to retry. A job must match every field that is set; with none, all failed jobs match."""

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
    return once(lambda _session: Answer(body=body, lanes=lanes))


def retry_matching(which: RetryAll, retry_one: RetryOne) -> tuple[Retries, list[LaneMessage]]:
    """Retry the matching jobs with `retry_one`. Returns the outcome, and the lane messages that may be sent."""
    matches, following = service().db.read(lambda session: _find(session, which))
    batch = (_DryRun if which.dry_run else _Batch)(retry_one)
    for job_id, subject_id in matches:
        if time_budget.is_spent():
            batch.give_up(job_id)
        else:
            batch.attempt(job_id, subject_id)
    done = Retries(retried=batch.retried, refused=batch.refused, more=following is not None, next=following)
    return done, batch.lanes


class _Batch:
    """Retries jobs one after another and records the outcomes."""

    def __init__(self, retry_one: RetryOne) -> None:
        self.retry_one = retry_one
        self.retried: list[Retried] = []
        self.refused: list[NotRetried] = []
        self.lanes: list[LaneMessage] = []

    def attempt(self, job_id: str, subject_id: str) -> None:
        try:
            self.run(job_id, subject_id)
        except Problem as refusal:
            self._refuse(job_id, refusal.code, refusal.detail or CODES[refusal.code].title)
        except NotPossibleError as refusal:
            self._refuse(job_id, refusal.code, str(refusal))
        except (SQLAlchemyError, CommitUnknownError):  # the jobs before it were retried and must be reported
            log.exception("retry_failed", extra={"job_id": job_id})
            self.give_up(job_id)
            return
        else:
            self.retried.append(Retried(job_id=job_id, status_url=links.of_call(f"/jobs/{job_id}")))
        time_budget.renew()

    def give_up(self, job_id: str) -> None:
        self._refuse(job_id, "unavailable", "The database is unavailable. Check the state of the job and try again.")

    def run(self, job_id: str, subject_id: str) -> None:  # noqa: ARG002 - used by a dry run
        """Raises Problem, NotPossibleError."""
        db = service().db
        self.lanes += db.transaction(
            lambda session: lane_messages.of_resumed_job(session, self.retry_one(session, job_id))
        )

    def _refuse(self, job_id: str, code: str, reason: str) -> None:
        self.refused.append(NotRetried(job_id=job_id, code=code, reason=reason))


class _RolledBackError(Exception):
    """Rolls back the transaction of a dry run."""


class _DryRun(_Batch):
    """The same, with each transaction rolled back.

    A retried job may conflict with the next one of the same app or person, so each transaction first repeats the
    retries of the earlier jobs of that subject.
    """

    def __init__(self, retry_one: RetryOne) -> None:
        super().__init__(retry_one)
        self._of_subject: dict[str, list[str]] = defaultdict(list)

    def run(self, job_id: str, subject_id: str) -> None:
        """Raises Problem, NotPossibleError."""
        before = self._of_subject[subject_id]

        def work(session: Session) -> None:
            for each in (*before, job_id):
                self.retry_one(session, each)
            raise _RolledBackError

        with suppress(_RolledBackError):
            service().db.transaction(work)
        before.append(job_id)


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
    if which.team is not None:
        conditions.append(Job.team_id == which.team)
    if which.since is not None:
        conditions.append(Job.created_at >= which.since)
    if which.code is not None:
        failed = select(Step.id).where(Step.job_id == Job.id, Step.state == StepState.FAILED, Step.code == which.code)
        conditions.append(failed.limit(1).scalar_subquery().is_not(None))
    return conditions

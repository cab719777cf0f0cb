"""The life of a job: acceptance, the turn of each step, and the end.

    job    queued ─▶ running ─▶ succeeded | failed, when every lane has settled
                       └▶ cancelling ─▶ cancelled

Workers move its steps on (`attempts.py`, `outcomes.py`), and so do people (`interventions.py`). Every change locks the
job's row first, so that changes of one job happen one after the other, and raises the job's version. What a person
would notice of the change is recorded as an event with that number (`events.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from common import horizons
from common.database.ids import new_id
from common.database.models import Job, SignupReview, Step
from common.errors import Conflict
from common.jobs import events
from common.jobs.events import transition, transition_job
from common.notifications import outbox
from common.states import PASSED, UNDECIDED, UNSETTLED, JobState, StepState
from common.telemetry import tracing
from common.telemetry.metrics import JOBS_FINISHED, count_when_committed
from common.vault import sealed_passwords
from common.workflows import Workflow, find_step

RESEND_S = 5.0  # a step whose turn it is and that nobody began is sent again after this, then ever more rarely


@dataclass(frozen=True, kw_only=True)
class Pending:
    """Why a job that was accepted may not begin yet."""

    code: str
    reason: str


# Says of a job that it waits for people.
IS_REVIEWED = exists().where(SignupReview.id == Job.id, SignupReview.state.in_(sorted(UNDECIDED)))
CANCEL_LANE = "cancel"  # holds the step that stops what a cancelled job began outside


def accept(
    session: Session,
    workflow: Workflow,
    *,
    now: datetime,
    subject_id: str,
    team_id: str,
    user_id: str,
    request_id: str,
    inputs: dict[str, Any],
    app_id: str | None = None,
    pending: Pending | None = None,
    after: str | None = None,
) -> Job:
    """Write a job and its whole plan into the caller's transaction. Send its messages after the commit.

    The job's id is greater than the id `after`: that of the job behind which it is to be listed and to run. While a
    job is pending, none of its steps has its turn and nobody dispatches it: `begin` ends that.
    """
    job = Job(
        id=new_id(after=after),
        kind=workflow.name,
        state=JobState.QUEUED,
        subject_id=subject_id,
        team_id=team_id,
        user_id=user_id,
        app_id=app_id,
        input=inputs,
        request_id=request_id,
        traceparent=tracing.traceparent(),
        version=1,
        created_at=now,
        updated_at=now,
    )
    session.add(job)
    session.flush()  # steps refer to it
    position = 0
    for lane in workflow.lanes:
        for index, plan in enumerate(lane.steps):
            step = Step(
                job_id=job.id,
                lane=lane.name,
                position=position,
                name=plan.name,
                upstream=plan.upstream.value,
                needs_secret=plan.secret,
                state=StepState.PENDING,
            )
            session.add(step)
            if pending is not None and position == 0:
                _say(step, pending, now)
            elif pending is None and index == 0:
                make_ready(step, now)
            position += 1
    events.write(session, job, now)
    return job


def keep_pending(session: Session, job: Job, pending: Pending, now: datetime) -> None:
    """Let a pending job, which the caller has locked, wait for something else."""
    first = session.scalars(select(Step).where(Step.job_id == job.id, Step.position == 0)).one()
    _say(first, pending, now)
    touch(session, job, now)


def _say(step: Step, pending: Pending, now: datetime) -> None:
    transition(step, StepState.PENDING, code=pending.code, reason=pending.reason)
    step.waiting_since = now


def begin(session: Session, job: Job, now: datetime) -> None:
    """Give the first step of each lane of a pending job, which the caller has locked, its turn."""
    lanes: set[str] = set()
    for step in session.scalars(select(Step).where(Step.job_id == job.id).order_by(Step.position)):
        if step.lane not in lanes:
            lanes.add(step.lane)
            step.waiting_since = None
            make_ready(step, now)
    touch(session, job, now)


def make_ready(step: Step, now: datetime) -> None:
    """Make a step ready, to be dispatched."""
    transition(step, StepState.READY)
    step.due_at = now
    step.nudges = 1  # the caller sends it, or the message of its lane goes on
    step.nudge_at = now + timedelta(seconds=RESEND_S)  # only if that message is lost


class PlannedStep(Protocol):
    """What of a step's row says whose turn is next."""

    id: Any
    name: Any
    lane: Any
    position: Any
    state: Any


S = TypeVar("S", bound=PlannedStep)


def next_steps(kind: str, steps: Iterable[S], passed: S) -> list[S]:
    """Return the steps of a job of this kind whose turn comes because this one has passed.

    That is the next one of its lane, or none. One that waits for steps of other lanes (`StepPlan.after`) gets its turn
    when all of them have passed, together with those of other lanes that wait for the same ones. A job that began on
    an older plan has only some of the steps.
    """
    known = list(steps)
    place = (passed.lane, passed.position + 1, StepState.PENDING)
    following = next((step for step in known if (step.lane, step.position, step.state) == place), None)
    if following is None:
        return []
    after = _after(kind, following.name)
    if not after:
        return [following]
    if any(step.name in after and step.state not in PASSED and step.id != passed.id for step in known):
        return []
    return [step for step in known if step.state is StepState.PENDING and _after(kind, step.name) == after]


def _after(kind: str, step: str) -> tuple[str, ...]:
    plan = find_step(kind, step)
    return plan.after if plan else ()


def make_next_ready(session: Session, step: Step, now: datetime) -> None:
    """Make the steps ready whose turn comes because this one has passed.

    The message of this lane goes on by itself; those of other lanes have ended, so that the clock dispatches the rest.
    """
    kind = session.get_one(Job, step.job_id).kind
    for following in next_steps(kind, session.scalars(select(Step).where(Step.job_id == step.job_id)), step):
        make_ready(following, now)
        if following.lane != step.lane:
            following.nudge_at, following.nudges = now, 0


def settle(session: Session, job: Job, now: datetime) -> None:
    """Derive the job's state from its steps, ended when no step can change any more, and raise its version."""
    session.flush()
    steps = session.execute(select(Step.state, Step.lane).where(Step.job_id == job.id)).all()
    state = settled_state(job.state, ((step.state, step.lane) for step in steps))
    if state is not None:
        job.finished_at = now
        transition_job(job, state)
        if state is JobState.FAILED:
            limit_password(session, job.id, now)
        count_when_committed(session, JOBS_FINISHED.labels(job.kind, job.state.value))
        outbox.add_ended_job(session, job.id, state, version=job.version + 1, now=now)
    touch(session, job, now)


def settled_state(state: JobState, steps: Iterable[tuple[StepState, str]]) -> JobState | None:
    """Return how a job with these steps, each with its lane, has ended; None while one of them can still change."""
    known = list(steps)
    if any(each in UNSETTLED for each, _lane in known):
        return None
    is_cancelled = state is JobState.CANCELLING
    # What failed before a cancellation is of no importance any more; what could not be stopped is.
    if any(each is StepState.FAILED for each, lane in known if not is_cancelled or lane == CANCEL_LANE):
        return JobState.FAILED
    return JobState.CANCELLED if is_cancelled else JobState.SUCCEEDED


def limit_password(session: Session, job_id: str, now: datetime) -> None:
    """Keep the password of a failed job while a retry is likely: not at all when something foreign is in the way.

    Whichever step has failed: a check that needs no password keeps those that need it from their turn.
    """
    codes = session.scalars(select(Step.code).where(Step.job_id == job_id, Step.state == StepState.FAILED)).all()
    if Conflict.code in codes:
        sealed_passwords.wipe(session, [job_id])
    elif codes:
        sealed_passwords.shorten(session, job_id, until=now + sealed_passwords.RETRY_WITHIN)


def lock(session: Session, job_id: str, *, skip_locked: bool = False) -> Job | None:
    """Return a job, as it is now, whose changes wait until this transaction ends.

    With `skip_locked`, None when somebody else has locked it.
    """
    statement = select(Job).where(Job.id == job_id).with_for_update(skip_locked=skip_locked)
    # Without it the session could return what it read before it waited for the lock.
    return session.scalar(statement.execution_options(populate_existing=True))


def is_of_the_future(job: Job, now: datetime) -> bool:
    """Say whether the job last changed in the future: the clock was set back since, and its times mean nothing."""
    return job.updated_at > now + timedelta(seconds=horizons.SKEW_S)


def touch(session: Session, job: Job, now: datetime) -> None:
    """Give the job a new version, and write the event of what has changed."""
    job.version += 1
    job.updated_at = now
    events.write(session, job, now)

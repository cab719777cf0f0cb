"""The hot path: the two transactions that nearly every step goes through, with statements that are made once.

    claim_ready   it is the step's turn, and nothing keeps it from its upstream: it runs
    succeed       the step has succeeded: the next one of its lane runs in the same transaction, or becomes ready

Each locks the job's row and what it needs of its steps with one SELECT, and writes without reading back, and without
objects of the rows. All that happens seldom (polls, retries, steps that are held back or were lost, failures) goes
through `attempts` and `outcomes`: here it is "None", and nothing has been written.

What is true of each transition elsewhere is true here: it is allowed by `common/states.py`, the job has a new version,
and an event with that number says what changed.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, bindparam, case, func, insert, literal, null, select, update
from sqlalchemy.exc import NoResultFound
from sqlalchemy.orm import Session

from common import workflows
from common.admission import quick_slots
from common.admission.quick_slots import Ending
from common.admission.slots import Lease, Limits
from common.database.engine import Now, matched
from common.database.ids import new_id
from common.database.models import Base
from common.jobs import events
from common.jobs.claims import LEASE_S, Claim, ClaimedJob, ClaimedStep, ClaimLostError, ClaimRefused
from common.jobs.lifecycle import RESEND_S, limit_password, next_steps, settled_state
from common.notifications import outbox
from common.states import OPEN, PASSED, JobState, Outcome, StepState, require_job_transition, require_step_transition
from common.telemetry.metrics import JOBS_FINISHED, count_when_committed
from common.vault import sealed_passwords
from common.workflows import task_name

StepRow = Row[*tuple[Any, ...]]  # of a job and a step

_jobs, _steps, _attempts, _events = (Base.metadata.tables[name] for name in ("jobs", "steps", "attempts", "events"))
_now = bindparam("now", type_=_steps.c.finished_at.type)

# -- the statements -----------------------------------------------------------------------------------------------

JOB_AND_STEP = (
    select(
        _jobs.c.id,
        _jobs.c.kind,
        _jobs.c.state.label("job_state"),
        _jobs.c.version,
        *(_jobs.c[name] for name in ("subject_id", "app_id", "input", "request_id", "traceparent")),
        *(_steps.c[name] for name in ("state", "parked_at", "attempts", "forgiven", "waiting_since")),
        _steps.c.id.label("step_id"),
    )
    .join_from(_jobs, _steps, _steps.c.job_id == _jobs.c.id)
    .where(_jobs.c.id == bindparam("job"), _steps.c.name == bindparam("step"))
    .with_for_update()
)
JOB_AND_STEPS = (
    select(
        _jobs.c.id.label("job_id"),
        _jobs.c.state.label("job_state"),
        _jobs.c.version,
        *(_steps.c[name] for name in ("id", "name", "lane", "position", "state", "claim_token", "parked_at")),
        *(_steps.c[name] for name in ("attempts", "forgiven", "needs_secret")),
    )
    .join_from(_jobs, _steps, _steps.c.job_id == _jobs.c.id)
    .where(_jobs.c.id == bindparam("job"))
    .with_for_update()
)

NO_LONGER_SAID = {"code": null(), "reason": null(), "nudges": 0}
BEGIN_STEP = (
    update(_steps)
    .where(_steps.c.id == bindparam("begun"))
    .values(
        state=StepState.RUNNING,
        attempts=_steps.c.attempts + 1,
        claim_token=bindparam("token"),
        lease_until=bindparam("until"),
        nudge_at=bindparam("until"),
        due_at=null(),
        started_at=func.coalesce(_steps.c.started_at, _now),
        **NO_LONGER_SAID,
    )
)
END_STEP = (
    update(_steps)
    .where(_steps.c.id == bindparam("ended"))
    .values(
        state=StepState.SUCCEEDED,
        output=bindparam("result"),
        finished_at=_now,
        waiting_since=null(),
        claim_token=null(),
        lease_until=null(),
        nudge_at=null(),
        **NO_LONGER_SAID,
    )
)
_is_ended = _steps.c.id == bindparam("ended")
END_STEP_AND_BEGIN_NEXT = (
    # Both rows in one statement. The next step was pending: it has no output, end or claim that could be overwritten.
    update(_steps)
    .where(_steps.c.id.in_([bindparam("ended"), bindparam("begun")]))
    .values(
        state=case(
            (_is_ended, literal(StepState.SUCCEEDED, _steps.c.state.type)),
            else_=literal(StepState.RUNNING, _steps.c.state.type),
        ),
        attempts=_steps.c.attempts + case((_is_ended, 0), else_=1),
        output=case((_is_ended, bindparam("result", type_=_steps.c.output.type))),
        finished_at=case((_is_ended, _now)),
        waiting_since=null(),
        claim_token=case((_is_ended, null()), else_=bindparam("token", type_=_steps.c.claim_token.type)),
        lease_until=case((_is_ended, null()), else_=bindparam("until", type_=_steps.c.lease_until.type)),
        nudge_at=case((_is_ended, null()), else_=bindparam("until", type_=_steps.c.nudge_at.type)),
        due_at=null(),
        started_at=func.coalesce(_steps.c.started_at, _now),
        **NO_LONGER_SAID,
    )
)
MAKE_READY = (
    update(_steps)
    .where(_steps.c.id == bindparam("next"))
    .values(
        state=StepState.READY,
        due_at=_now,
        nudge_at=bindparam("nudge"),
        nudges=bindparam("sent"),
        code=null(),
        reason=null(),
    )
)
BEGIN_ATTEMPT = insert(_attempts).inline()
END_ATTEMPT = (
    update(_attempts)
    .where(_attempts.c.step_id == bindparam("ended"), _attempts.c.number == bindparam("attempt"))
    .values(outcome=Outcome.SUCCEEDED, finished_at=_now)
)
BEGIN_JOB = (
    update(_jobs)
    .where(_jobs.c.id == bindparam("job"))
    .values(
        version=bindparam("new_version"),
        state=bindparam("new_state"),
        updated_at=_now,
        started_at=func.coalesce(_jobs.c.started_at, _now),
    )
)
CHANGE_JOB = (
    update(_jobs).where(_jobs.c.id == bindparam("job")).values(version=bindparam("new_version"), updated_at=_now)
)
END_JOB = CHANGE_JOB.values(state=bindparam("new_state"), finished_at=_now)
ADD_EVENT = insert(_events).inline()


# -- the two transactions -----------------------------------------------------------------------------------------


def claim_ready(
    session: Session, job_id: str, step: str, token: str, *, worker: str, limits: Limits, clock: Now
) -> Claim | ClaimRefused | None:
    """Claim a step that is ready; None: it is not, or has to be claimed in another way. The job is locked then."""
    connection = session.connection()
    row = connection.execute(JOB_AND_STEP, {"job": job_id, "step": step}).one_or_none()
    if refused := _refused(row):
        return refused
    if row is None or row.state is not StepState.READY or row.parked_at is not None:
        return None
    now = clock()  # after the lock: waiting for it must not use up the lease
    plan = workflows.find_step(row.kind, step)
    lease = Lease(token=token, until=now + timedelta(seconds=LEASE_S), now=now)
    admission = quick_slots.acquire(connection, plan.visits, lease, limits) if plan else None
    if plan is None or admission is None:
        return None
    number = row.attempts + 1
    job_state = JobState.RUNNING if row.job_state is JobState.QUEUED else row.job_state
    require_step_transition(row.state, StepState.RUNNING)
    if job_state is not row.job_state:
        require_job_transition(row.job_state, job_state)
    begun = {"begun": row.step_id, "token": token, "until": lease.until, "now": now}
    connection.execute(BEGIN_STEP, begun)
    connection.execute(BEGIN_ATTEMPT, _attempt(row.step_id, number, worker, now))
    changed = {"job": job_id, "new_version": row.version + 1, "new_state": job_state, "now": now}
    connection.execute(BEGIN_JOB, changed)
    _add_event(connection, job_id, row.version + 1, now, job_state, [events.shown(step, StepState.RUNNING)])
    return Claim(
        job=ClaimedJob(
            id=row.id,
            kind=row.kind,
            subject_id=row.subject_id,
            app_id=row.app_id,
            input=row.input,
            request_id=row.request_id,
            traceparent=row.traceparent,
        ),
        step=ClaimedStep(id=row.step_id, name=step, waiting_since=row.waiting_since),
        plan=plan,
        token=token,
        attempt=number,
        tries=number - row.forgiven,
        admission=admission,
        at=now,
    )


def _refused(row: StepRow | None) -> ClaimRefused | None:
    """Return why a message is of no use: most that are come for a second time."""
    if row is None:
        return ClaimRefused.UNKNOWN
    if row.state in PASSED:
        return ClaimRefused.DONE
    return None if row.job_state in OPEN else ClaimRefused.OVER


@dataclass(frozen=True, kw_only=True)
class Onward:
    """How a worker goes on with a lane: its name and limits, and whether it may begin a task, by name and queue."""

    worker: str
    limits: Limits
    may_begin: Callable[[str, str], bool]


def succeed(
    session: Session, claim: Claim, output: Mapping[str, object], clock: Now, onward: Onward | None = None
) -> Claim | None:
    """Record that the step has succeeded, and return the claim of the next step of its lane.

    None: the lane is over, or its next step is ready and has to be claimed by itself. Raises ClaimLostError; nothing
    is changed then.
    """
    connection = session.connection()
    rows = connection.execute(JOB_AND_STEPS, {"job": claim.job.id}).all()
    step = next((row for row in rows if row.id == claim.step.id), None)
    if step is None or step.job_state not in OPEN or step.claim_token != claim.token:
        raise ClaimLostError
    require_step_transition(step.state, StepState.SUCCEEDED)
    now = clock()
    ready = next_steps(claim.job.kind, rows, step)
    following = next((row for row in ready if row.lane == step.lane), None)
    ending = Ending(slots=claim.admission.slots, token=claim.token)
    next_claim = _next_claim(connection, claim, ending, following, now, onward) if following and onward else None
    ended = {"ended": step.id, "result": dict(output), "now": now}
    changed = [events.shown(step.name, StepState.SUCCEEDED)]
    if next_claim is not None and onward is not None:
        begun = {"begun": next_claim.step.id, "token": next_claim.token, "until": now + timedelta(seconds=LEASE_S)}
        connection.execute(END_STEP_AND_BEGIN_NEXT, {**ended, **begun})
        connection.execute(BEGIN_ATTEMPT, _attempt(next_claim.step.id, next_claim.attempt, onward.worker, now))
    else:
        connection.execute(END_STEP, ended)
    for row in ready:
        require_step_transition(row.state, StepState.READY)  # and from there to RUNNING, if it is claimed as well
        is_begun = next_claim is not None and row.id == next_claim.step.id
        changed.append(events.shown(row.name, StepState.RUNNING if is_begun else StepState.READY))
        if not is_begun:
            connection.execute(MAKE_READY, {"next": row.id, "now": now, **_dispatched(row, step, now)})
    handed_on = next_claim.admission.slots if next_claim else ()
    quick_slots.release(connection, [slot for slot in ending.slots if slot not in handed_on], ending.token, now)
    if not matched(connection.execute(END_ATTEMPT, {"ended": step.id, "attempt": claim.attempt, "now": now})):
        raise NoResultFound("the attempt that ends has no row")
    if step.needs_secret and not any(_is_to_read_secret(row, step) for row in rows):
        sealed_passwords.wipe(session, [claim.job.id])
    job_state = None if ready else _ended_state(rows, step)
    _change_job(session, claim, step, job_state, now)
    if job_state is JobState.FAILED:  # another lane had failed before
        limit_password(session, claim.job.id, now)
    _add_event(connection, claim.job.id, step.version + 1, now, job_state or step.job_state, changed)
    return next_claim


def _dispatched(ready: StepRow, ended: StepRow, now: datetime) -> dict[str, Any]:
    """Return when the clock sends it, and how often it was sent: at once and never if another lane's message ended."""
    if ready.lane == ended.lane:
        return {"sent": 1, "nudge": now + timedelta(seconds=RESEND_S)}
    return {"sent": 0, "nudge": now}


def _next_claim(
    connection: Connection, claim: Claim, ending: Ending, following: StepRow, now: datetime, onward: Onward
) -> Claim | None:
    """Return a claim of the next step, for which slots are held, None when it has to be claimed by itself."""
    plan = workflows.find_step(claim.job.kind, following.name)
    if plan is None or not onward.may_begin(task_name(claim.job.kind, plan.name), plan.upstream):
        return None
    if claim.admission.trials or claim.admission.is_doubted:
        return None  # what this step found out of its upstream is to be recorded first
    lease = Lease(token=secrets.token_hex(16), until=now + timedelta(seconds=LEASE_S), now=now)
    admission = quick_slots.acquire(connection, plan.visits, lease, onward.limits, ending)
    if admission is None:
        return None
    return Claim(
        job=claim.job,
        step=ClaimedStep(id=following.id, name=following.name, waiting_since=None),
        plan=plan,
        token=lease.token,
        attempt=following.attempts + 1,
        tries=following.attempts + 1 - following.forgiven,
        admission=admission,
        at=now,
    )


def _is_to_read_secret(row: StepRow, ended: StepRow) -> bool:
    return row.needs_secret and row.id != ended.id and row.state not in PASSED


def _ended_state(rows: Sequence[StepRow], ended: StepRow) -> JobState | None:
    states = (((StepState.SUCCEEDED if row.id == ended.id else row.state), row.lane) for row in rows)
    return settled_state(ended.job_state, states)


def _change_job(session: Session, claim: Claim, step: StepRow, ended_state: JobState | None, now: datetime) -> None:
    changed = {"job": claim.job.id, "new_version": step.version + 1, "now": now}
    if ended_state is None:
        session.connection().execute(CHANGE_JOB, changed)
        return
    require_job_transition(step.job_state, ended_state)
    session.connection().execute(END_JOB, {**changed, "new_state": ended_state})
    count_when_committed(session, JOBS_FINISHED.labels(claim.job.kind, ended_state.value))
    outbox.add_ended_job(session, claim.job.id, ended_state, version=step.version + 1, now=now)


def _attempt(step_id: str, number: int, worker: str, now: datetime) -> dict[str, Any]:
    return {"id": new_id(), "step_id": step_id, "number": number, "polls": 0, "worker": worker, "started_at": now}


def _add_event(
    connection: Connection, job_id: str, number: int, now: datetime, state: JobState, steps: list[dict[str, Any]]
) -> None:
    connection.execute(ADD_EVENT, {"job_id": job_id, "number": number, "at": now, "state": state, "steps": steps})

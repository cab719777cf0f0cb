"""Only allowed transitions of steps and jobs are stored: any other one raises, and its transaction changes nothing."""

from __future__ import annotations

from itertools import product

import pytest
from sqlalchemy.orm import Session
from support.world import World

from common.database.models import Job, Step
from common.jobs.events import transition, transition_job
from common.states import JOB_TRANSITIONS, STEP_TRANSITIONS, ForbiddenTransitionError, JobState, StepState

OVER = (StepState.SUCCEEDED, StepState.SKIPPED, StepState.CANCELLED)


def test_what_is_over_stays_so() -> None:
    assert [pair for pair in STEP_TRANSITIONS if pair[0] in OVER] == []
    assert [pair for pair in JOB_TRANSITIONS if pair[0] in (JobState.SUCCEEDED, JobState.CANCELLED)] == []


def test_every_state_can_be_reached() -> None:
    assert {after for _, after in STEP_TRANSITIONS} == set(StepState) - {StepState.PENDING}
    assert {after for _, after in JOB_TRANSITIONS} == set(JobState) - {JobState.QUEUED}


def test_a_forbidden_transition_of_a_step_raises_and_stores_nothing(world: World) -> None:
    job = world.sign_up("astep")
    step = world.step_rows(job)[0]

    for before, after in set(product(StepState, StepState)) - STEP_TRANSITIONS:
        world.db.transaction(lambda session, before=before: _put(session, Step, step.id, before))

        def change(session: Session, after: StepState = after) -> None:
            row = session.get_one(Step, step.id)
            row.reason = "written by mistake"
            session.flush()
            transition(row, after)

        with pytest.raises(ForbiddenTransitionError, match=f"cannot become {after.value}: it is {before.value}"):
            world.db.transaction(change)
        stored = world.step(job, step.name)
        assert (stored.state, stored.reason) == (before, None)


def test_a_forbidden_transition_of_a_job_raises_and_stores_nothing(world: World) -> None:
    job = world.sign_up("ajob")

    for before, after in set(product(JobState, JobState)) - JOB_TRANSITIONS:
        if before is after:
            continue
        world.db.transaction(lambda session, before=before: _put(session, Job, job.id, before))

        with pytest.raises(ForbiddenTransitionError, match="a job cannot become"):
            world.db.transaction(lambda session, after=after: transition_job(session.get_one(Job, job.id), after))
        assert world.job(job).state is before


def _put(session: Session, table: type[Step] | type[Job], row_id: str, state: StepState | JobState) -> None:
    session.get_one(table, row_id).state = state  # type: ignore[assignment] # of the table's own kind

"""Only allowed transitions of steps and jobs are stored: any other one raises, and its transaction changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from typing import Any

import pytest
from sqlalchemy.orm import Session
from support.world import World

from common import states
from common.admission import outages
from common.admission.outages import Hold
from common.database.models import Job, Step
from common.jobs import attempts, claims, interventions, outcomes
from common.jobs.claims import Claim
from common.jobs.events import transition, transition_job
from common.states import JOB_TRANSITIONS, STEP_TRANSITIONS, ForbiddenTransitionError, JobState, StepState
from common.workflows import EXTERNAL, PROVISION

OVER = (StepState.SUCCEEDED, StepState.SKIPPED, StepState.CANCELLED)


def test_what_is_over_stays_so() -> None:
    assert [pair for pair in STEP_TRANSITIONS if pair[0] in OVER] == []
    assert [pair for pair in JOB_TRANSITIONS if pair[0] in (JobState.SUCCEEDED, JobState.CANCELLED)] == []


def test_every_state_can_be_reached() -> None:
    changes = {(before, after) for before, after in STEP_TRANSITIONS if before is not after}
    assert {after for _, after in changes} == set(StepState) - {StepState.PENDING}
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


# -- what is allowed happens --------------------------------------------------------------------------------------


class _Noting(frozenset[tuple[Any, Any]]):
    """Allowed transitions, and which of them were asked for: each is before it is stored."""

    seen: set[tuple[Any, Any]]

    def __contains__(self, pair: object) -> bool:
        is_allowed = super().__contains__(pair)
        if is_allowed and isinstance(pair, tuple):
            self.seen.add(pair)
        return is_allowed


@contextmanager
def _transitions_of(table: type[Step] | type[Job]) -> Iterator[set[tuple[Any, Any]]]:
    """Collect the changes of state that are made meanwhile."""
    name = "STEP_TRANSITIONS" if table is Step else "JOB_TRANSITIONS"
    noting = _Noting(getattr(states, name))
    noting.seen = set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(states, name, noting)
        yield noting.seen


def _claim(world: World, job: Job, step: str) -> Claim:
    claim = attempts.claim(world.db, job.id, step, worker="w", limits=world.limits)
    assert isinstance(claim, Claim), claim
    return claim


def _succeed(world: World, job: Job, *steps: str) -> None:
    for step in steps:
        outcomes.record_success(world.db, _claim(world, job, step), {})


def _fail(world: World, job: Job, step: str) -> None:
    outcomes.record_failure(world.db, _claim(world, job, step), code="c", reason="r")


def _wait_and_retry(world: World, job: Job) -> None:
    outcomes.record_retry(world.db, _claim(world, job, "create_gitlab_user"), code="c", reason="r", delay_s=0)
    _succeed(world, job, "create_jenkins_user")
    wait = _claim(world, job, "assign_jenkins_role")
    outcomes.record_wait(world.db, wait, code="c", reason="r", retry_after_s=0)


def _park_all(world: World, job: Job, *steps: str) -> None:
    for upstream in EXTERNAL:
        outages.pause(world.db, upstream, by="t", reason="r", now=world.time())
    for step in steps:
        assert isinstance(attempts.claim(world.db, job.id, step, worker="w", limits=world.limits), Hold)
    for upstream in EXTERNAL:
        outages.resume(world.db, upstream, world.time())
    world.time.advance(60)  # few steps at first


def _change(world: World, work: Callable[[Session], object]) -> None:
    world.db.transaction(work)


def test_every_allowed_transition_of_a_step_happens(world: World, new_name: Callable[[str], str]) -> None:
    with _transitions_of(Step) as seen:
        parked = world.sign_up(new_name("parked"))
        _wait_and_retry(world, parked)
        _park_all(world, parked, "create_gitlab_user", "assign_jenkins_role", "create_kibana_user")
        _claim(world, parked, "create_kibana_user")
        world.time.advance(claims.LEASE_S)  # its worker is lost
        _succeed(world, parked, "create_kibana_user", "assign_jenkins_role", "create_gitlab_user")
        _fail(world, parked, "join_gitlab_group")
        _change(world, lambda session: interventions.retry(session, parked.id, world.time()))
        _fail(world, parked, "join_gitlab_group")
        skip = {"reason": "by hand", "now": world.time()}
        _change(world, lambda session: interventions.skip(session, parked.id, "join_gitlab_group", **skip))
        assert world.job(parked).state is JobState.SUCCEEDED
        cancelled = world.sign_up(new_name("cancelled"))  # one step is pending, one ready, one waits, one is retried
        _wait_and_retry(world, cancelled)
        running = world.sign_up(new_name("running"))
        _claim(world, running, "create_kibana_user")
        for job in (cancelled, running):
            _change(world, lambda session, job=job: interventions.cancel(session, job.id, world.time()))

    assert seen - {pair for pair in seen if pair[0] is pair[1]} == {
        pair for pair in STEP_TRANSITIONS if pair[0] is not pair[1]
    }
    assert {StepState.PENDING, StepState.READY, StepState.WAITING, StepState.RETRYING, StepState.RUNNING} == {
        before for before, after in STEP_TRANSITIONS if before is after
    }


def test_every_allowed_transition_of_a_job_happens(world: World, new_name: Callable[[str], str]) -> None:
    with _transitions_of(Job) as seen:
        made = world.make_app(new_name("app"))
        lanes = [[step.name for step in lane.steps] for lane in PROVISION.lanes]
        _fail(world, made, lanes[0][0])
        _succeed(world, made, *lanes[1])
        _change(world, lambda session: interventions.retry(session, made.id, world.time()))
        _succeed(world, made, *lanes[0])
        unbegun = world.accept_for(made, "build")
        _change(world, lambda session: interventions.cancel(session, unbegun.id, world.time()))
        begun = world.accept_for(made, "build")
        _claim(world, begun, "start_build")
        _change(world, lambda session: interventions.cancel(session, begun.id, world.time()))
        (last,) = [step.name for step in world.step_rows(begun) if step.state is StepState.READY]
        _fail(world, begun, last)
        assert world.job(begun).state is JobState.FAILED
        _change(world, lambda session: interventions.retry(session, begun.id, world.time()))
        _succeed(world, begun, last)

    assert [world.job(each).state for each in (made, unbegun, begun)] == [
        JobState.SUCCEEDED, JobState.CANCELLED, JobState.CANCELLED
    ]  # fmt: skip
    assert seen == JOB_TRANSITIONS

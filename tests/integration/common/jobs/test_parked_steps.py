"""Steps that are parked because their upstream takes none now: what they show, and how long they may stay so."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session
from support.outages import take_down
from support.world import World

from common.admission import outages
from common.admission.outages import Hold, HoldCode
from common.database.models import Job, Step
from common.jobs import attempts, claims, outcomes
from common.jobs.claims import Claim, ClaimRefused
from common.states import JobState, Outcome, StepState
from common.workflows import Upstream

NewName = Callable[[str], str]
STEP, OTHER = "create_gitlab_user", "create_kibana_user"
POLLING = "assign_jenkins_role"


@pytest.fixture
def job(world: World, new_name: NewName) -> Job:
    return world.sign_up(new_name("ada"))


def _ask(world: World, job: Job, step: str = STEP, *, worker: str = "w") -> Claim | Hold | ClaimRefused:
    return attempts.claim(world.db, job.id, step, worker=worker, limits=world.limits)


def _claim(world: World, job: Job, step: str = STEP, *, worker: str = "w") -> Claim:
    claim = _ask(world, job, step, worker=worker)
    assert isinstance(claim, Claim), claim
    return claim


def _change(world: World, job: Job, step: str = STEP, **columns: Any) -> None:
    def work(session: Session) -> None:
        row = session.scalars(select(Step).where(Step.job_id == job.id, Step.name == step)).one()
        for name, value in columns.items():
            setattr(row, name, value)

    world.db.transaction(work)


def _pause(world: World, upstream: Upstream = Upstream.GITLAB) -> None:
    outages.pause(world.db, upstream, by="ada", reason="upgrade", now=world.time())


def test_a_ready_step_is_parked_with_its_hold_and_nothing_sends_it(world: World, job: Job) -> None:
    _change(world, job, nudges=3)
    _pause(world)
    version = world.job(job).version

    hold = _ask(world, job)

    step = world.step(job, STEP)
    assert isinstance(hold, Hold)
    assert (step.state, step.code, step.reason) == (StepState.READY, HoldCode.PAUSED.value, hold.reason)
    assert (step.parked_at, step.nudge_at, step.nudges) == (world.time(), None, 0)
    assert (world.job(job).version, world.attempts(job, STEP)) == (version + 1, [])
    parked_at = world.time()
    world.time.advance(5)
    assert _ask(world, job) == hold
    assert (world.step(job, STEP).parked_at, world.job(job).version) == (parked_at, version + 1)  # nothing is new


def test_a_step_that_is_retried_keeps_its_reason_while_it_is_merely_queued(
    world: World, job: Job, new_name: NewName
) -> None:
    outcomes.record_retry(world.db, _claim(world, job), code="c", reason="GitLab stumbled.", delay_s=0)
    world.limits = {**world.limits, Upstream.GITLAB: type(world.limits[Upstream.GITLAB])(at_once=1)}
    _claim(world, world.sign_up(new_name("ada")))

    hold = _ask(world, job)

    step = world.step(job, STEP)
    assert isinstance(hold, Hold)
    assert (hold.code, step.code, step.reason) == (HoldCode.BUSY, "c", "GitLab stumbled.")
    assert step.parked_at == world.time()
    _pause(world)
    _ask(world, job)
    assert world.step(job, STEP).code == HoldCode.PAUSED.value
    outages.resume(world.db, Upstream.GITLAB, world.time())
    _ask(world, job)
    assert world.step(job, STEP).code == HoldCode.BUSY.value  # what it showed before was a hold, too


def test_a_lost_step_whose_upstream_is_closed_is_parked_as_one_to_be_retried(world: World, job: Job) -> None:
    _claim(world, job)
    _pause(world)
    world.time.advance(claims.LEASE_S)

    assert isinstance(_ask(world, job), Hold)

    step, (attempt,) = world.step(job, STEP), world.attempts(job, STEP)
    assert (step.state, step.due_at, step.claim_token, step.lease_until) == (
        StepState.RETRYING, world.time(), None, None
    )  # fmt: skip
    assert (step.code, attempt.outcome) == (HoldCode.PAUSED.value, Outcome.LOST)


def test_the_time_for_which_a_poll_is_parked_is_no_wait(world: World, job: Job) -> None:
    outcomes.record_success(world.db, _claim(world, job, "create_jenkins_user"), {})
    outcomes.record_wait(world.db, _claim(world, job, POLLING), code="c", reason="r", retry_after_s=1)
    since = world.step(job, POLLING).waiting_since
    assert since == world.time()
    _pause(world, Upstream.JENKINS)
    world.time.advance(10)
    _ask(world, job, POLLING)
    world.time.advance(100)
    outages.resume(world.db, Upstream.JENKINS, world.time())

    _claim(world, job, POLLING)

    step = world.step(job, POLLING)
    assert (step.waiting_since, step.parked_at) == (since + timedelta(seconds=100), None)


@pytest.mark.parametrize("early_s", [0.0, 0.001])
def test_a_hold_that_lasts_too_long_fails_the_step_with_its_cause(world: World, job: Job, early_s: float) -> None:
    for step in ("create_jenkins_user", OTHER):
        outcomes.record_failure(world.db, _claim(world, job, step), code="c", reason="r")
    take_down(world.db, Upstream.GITLAB, "r")
    assert isinstance(_ask(world, job), Hold)
    world.time.advance(outages.LONGEST_HOLD_S - early_s)

    answer = _ask(world, job)

    step = world.step(job, STEP)
    if early_s:
        assert (isinstance(answer, Hold), step.state) == (True, StepState.READY)
        return
    assert (answer, step.state, step.code) == (ClaimRefused.OVER, StepState.FAILED, HoldCode.OUTAGE.value)
    assert step.reason == "GitLab is not answering. Gave up after 7 days."
    assert step.remedy == ["Retry the job once the upstream can be used again."]
    assert (step.parked_at, world.attempts(job, STEP)[-1].outcome) == (None, Outcome.FAILED)
    assert world.job(job).state is JobState.FAILED


def test_a_pause_may_last_as_long_as_it_likes(world: World, job: Job) -> None:
    _pause(world)
    _ask(world, job)
    world.time.advance(outages.LONGEST_HOLD_S + 1)

    assert isinstance(_ask(world, job), Hold)
    assert world.step(job, STEP).state is StepState.READY

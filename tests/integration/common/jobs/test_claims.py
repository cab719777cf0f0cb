"""The claim of a step as a row: what begins with it, what ends it, and what the fence of calls asks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session
from support.world import World

from common import horizons
from common.admission.outages import Hold
from common.database.models import Attempt, Job, Slot, Step
from common.jobs import attempts, claims, interventions, outcomes
from common.jobs.claims import Claim, ClaimLostError, ClaimRefused
from common.states import JobState, Outcome, StepState
from worker.context import StepContext

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


def _cancel(world: World, job: Job) -> None:
    world.db.transaction(lambda session: interventions.cancel(session, job.id, world.time()))


def _take_over(world: World, job: Job) -> None:
    _change(world, job, claim_token="another", lease_until=world.time() + timedelta(seconds=8))


def _end_job(world: World, job: Job) -> None:
    """End the job and leave the step as it is, which no code of ours does."""

    def work(session: Session) -> None:
        session.get_one(Job, job.id).state = JobState.CANCELLED

    world.db.transaction(work)


# -- the fence of calls -------------------------------------------------------------------------------------------


def test_the_fence_is_open_for_as_long_as_the_lease(world: World, job: Job) -> None:
    context = StepContext(_claim(world, job), world.context)

    world.time.advance(claims.LEASE_S - 0.001)
    context.require_claim()
    world.time.advance(0.001)

    with pytest.raises(ClaimLostError):
        context.require_claim()


@pytest.mark.parametrize("lose", [_take_over, _cancel, _end_job])
def test_the_fence_is_shut_when_the_claim_is_anothers_or_the_job_is_over_whatever_else_runs(
    world: World, job: Job, new_name: NewName, lose: Callable[[World, Job], None]
) -> None:
    other = world.sign_up(new_name("ada"))
    lost, held = (StepContext(_claim(world, each), world.context) for each in (job, other))

    lose(world, job)

    held.require_claim()
    with pytest.raises(ClaimLostError):
        lost.require_claim()


@pytest.mark.parametrize("lose", [_take_over, _cancel])
def test_a_claim_that_is_lost_is_not_held_in_a_transaction_and_not_renewed(
    world: World, job: Job, lose: Callable[[World, Job], None]
) -> None:
    claim = _claim(world, job)
    lose(world, job)
    lease = world.step(job, STEP).lease_until

    for check in (claims.held, lambda session, claim: claims.require_held(session, claim, world.time())):
        with pytest.raises(ClaimLostError):
            world.db.transaction(lambda session, check=check: check(session, claim))
    assert not claims.renew(world.db, claim)
    assert world.step(job, STEP).lease_until == lease


def test_a_lost_claim_gives_its_slots_back_when_nothing_is_done_under_it_any_more(world: World, job: Job) -> None:
    claim = _claim(world, job)

    def taken() -> list[str | None]:
        held = select(Slot.holder).where(Slot.holder.is_not(None))
        return list(world.db.read(lambda session: session.scalars(held).all()))

    assert taken() == [claim.token]
    claims.release(world.db, claim)

    assert taken() == []


def test_an_outcome_gives_the_slots_back_and_lets_the_step_be_sent_as_for_the_first_time(
    world: World, job: Job
) -> None:
    claim = _claim(world, job)
    _change(world, job, nudges=2)  # it was sent again meanwhile

    outcomes.record_retry(world.db, claim, code="c", reason="r", delay_s=0)

    held = select(Slot.holder).where(Slot.holder.is_not(None))
    assert world.db.read(lambda session: session.scalars(held).all()) == []
    assert world.step(job, STEP).nudges == 0


# -- what a claim begins ------------------------------------------------------------------------------------------


def test_a_claim_begins_an_attempt_and_the_job(world: World, job: Job) -> None:
    world.time.advance(1)
    claim = _claim(world, job, worker="ada's")

    step, (attempt,) = world.step(job, STEP), world.attempts(job, STEP)
    assert (step.claim_token, step.started_at, step.due_at, step.nudges) == (claim.token, world.time(), None, 0)
    assert (attempt.number, attempt.worker, attempt.started_at, attempt.polls) == (1, "ada's", world.time(), 0)
    assert (claim.attempt, claim.tries, claim.at) == (1, 1, world.time())
    assert (world.job(job).state, world.job(job).started_at) == (JobState.RUNNING, world.time())
    began = world.time()
    world.time.advance(1)
    _claim(world, job, OTHER)
    assert world.job(job).started_at == began


def test_a_step_keeps_the_time_of_its_first_attempt(world: World, job: Job) -> None:
    first = _claim(world, job)
    outcomes.record_retry(world.db, first, code="c", reason="r", delay_s=1)
    world.time.advance(1)

    second = _claim(world, job)

    assert world.step(job, STEP).started_at == first.at
    assert [each.started_at for each in world.attempts(job, STEP)] == [first.at, second.at]
    assert (second.attempt, second.tries) == (2, 2)


def test_a_poll_goes_on_with_its_attempt_under_the_worker_that_makes_it(world: World, job: Job) -> None:
    outcomes.record_success(world.db, _claim(world, job, "create_jenkins_user"), {})
    first = _claim(world, job, POLLING, worker="first")
    outcomes.record_wait(world.db, first, code="c", reason="r", retry_after_s=1)
    world.time.advance(1)

    second = _claim(world, job, POLLING, worker="second")

    (attempt,) = world.attempts(job, POLLING)
    assert (second.attempt, attempt.polls, attempt.worker) == (1, 1, "second")
    assert world.step(job, POLLING).reason == "r"


def test_an_attempt_whose_worker_died_is_closed_with_the_reason(world: World, job: Job) -> None:
    _claim(world, job)
    world.time.advance(claims.LEASE_S)

    _claim(world, job)

    lost, present = world.attempts(job, STEP)
    assert (lost.outcome, lost.code, lost.finished_at) == (Outcome.LOST, "worker_lost", world.time())
    assert lost.reason is not None
    assert (present.number, present.outcome, present.finished_at) == (2, None, None)


def test_attempts_before_a_retry_by_a_person_do_not_count(world: World, job: Job) -> None:
    outcomes.record_failure(world.db, _claim(world, job), code="c", reason="r")
    for step in (OTHER, "create_jenkins_user"):
        outcomes.record_failure(world.db, _claim(world, job, step), code="c", reason="r")
    world.db.transaction(lambda session: interventions.retry(session, job.id, world.time()))

    claim = _claim(world, job)

    assert (claim.attempt, claim.tries) == (2, 1)
    states = [outcomes.record_retry(world.db, claim, code="c", reason="r", delay_s=0)]
    while states[-1] is StepState.RETRYING:
        states.append(outcomes.record_retry(world.db, _claim(world, job), code="c", reason="r", delay_s=0))
    assert len(states) == claim.plan.retry.attempts


# -- what is not granted ------------------------------------------------------------------------------------------


def test_each_refusal_says_why(world: World, job: Job) -> None:
    assert _ask(world, job, "join_gitlab_group") is ClaimRefused.NOT_NOW  # pending
    assert attempts.claim(world.db, "no-such-job", STEP, worker="w", limits={}) is ClaimRefused.UNKNOWN
    _claim(world, job)
    assert _ask(world, job) is ClaimRefused.NOT_NOW
    _change(world, job, OTHER, name="of_another_version")
    assert _ask(world, job, "of_another_version") is ClaimRefused.UNKNOWN
    done = _claim(world, job, "create_jenkins_user")
    outcomes.record_success(world.db, done, {})
    assert _ask(world, job, "create_jenkins_user") is ClaimRefused.DONE
    _cancel(world, job)
    assert _ask(world, job, "create_jenkins_user") is ClaimRefused.DONE
    assert _ask(world, job) is ClaimRefused.OVER


def test_a_lost_attempt_fails_the_step_only_when_those_that_count_are_used_up(world: World, job: Job) -> None:
    allowed = _claim(world, job).plan.retry.attempts
    _change(world, job, attempts=allowed + 3, forgiven=4)
    world.db.transaction(lambda session: session.execute(update(Attempt).values(number=allowed + 3)))
    world.time.advance(claims.LEASE_S)

    claim = _claim(world, job)

    assert (claim.attempt, claim.tries) == (allowed + 4, allowed)


@pytest.mark.parametrize("back_s", [0, 1])
def test_a_step_is_claimed_before_its_time_only_if_that_cannot_be_its_time(
    world: World, job: Job, back_s: float
) -> None:
    outcomes.record_retry(world.db, _claim(world, job), code="c", reason="r", delay_s=1)
    now = world.time()
    _change(world, job, due_at=now + timedelta(seconds=horizons.DELAY_S + back_s))

    assert isinstance(_ask(world, job), Claim) is (back_s > 0)


def test_a_step_that_is_lost_for_the_last_time_fails_and_settles_its_job(world: World, job: Job) -> None:
    for step in ("create_jenkins_user", OTHER):
        outcomes.record_failure(world.db, _claim(world, job, step), code="c", reason="r")
    allowed = _claim(world, job).plan.retry.attempts
    for _ in range(allowed - 1):
        world.time.advance(claims.LEASE_S)
        _claim(world, job)
    world.time.advance(claims.LEASE_S)

    assert _ask(world, job) is ClaimRefused.OVER

    step, last = world.step(job, STEP), world.attempts(job, STEP)[-1]
    assert (step.state, step.code, step.finished_at, step.remedy) == (
        StepState.FAILED, "worker_lost", world.time(), []
    )  # fmt: skip
    assert (step.claim_token, step.lease_until, step.nudge_at, step.due_at) == (None, None, None, None)
    assert (last.outcome, last.code, last.reason) == (Outcome.LOST, "worker_lost", step.reason)
    assert world.job(job).state is JobState.FAILED

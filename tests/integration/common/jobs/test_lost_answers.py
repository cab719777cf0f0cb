"""A claim or an outcome whose commit was done, though its answer was lost: it is looked up by its token."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import event, select, update
from sqlalchemy.orm import Session
from support.world import World

from common.database.engine import CommitUnknownError
from common.database.models import Job, Slot
from common.jobs import attempts, claims, outcomes
from common.jobs.claims import Claim, ClaimRefused
from common.states import Outcome, StepState

NewName = Callable[[str], str]
STEP = "create_gitlab_user"


@pytest.fixture
def job(world: World, new_name: NewName) -> Job:
    return world.sign_up(new_name("ada"))


@contextmanager
def _lost_answers(*meanwhile: Callable[[], object]) -> Iterator[None]:
    """Lose the answers to as many commits as there are calls; each is made before the commit is looked up."""
    left = list(meanwhile)

    def lose(_session: Session) -> None:
        if left:
            left.pop(0)()
            raise CommitUnknownError("the answer is lost")

    event.listen(Session, "after_commit", lose)
    try:
        yield
    finally:
        event.remove(Session, "after_commit", lose)
    assert left == []


def _ask(world: World, job: Job) -> object:
    return attempts.claim(world.db, job.id, STEP, worker="w", limits=world.limits)


def _slots(world: World) -> list[Slot]:
    held = select(Slot).where(Slot.holder.is_not(None))
    return list(world.db.read(lambda session: session.scalars(held).all()))


@pytest.mark.parametrize("times", [1, 2])
def test_a_claim_that_was_made_is_found_again_with_its_whole_lease(world: World, job: Job, times: int) -> None:
    with _lost_answers(*[lambda: world.time.advance(1)] * times):
        claim = _ask(world, job)

    assert isinstance(claim, Claim)
    step, (slot,) = world.step(job, STEP), _slots(world)
    assert (step.claim_token, slot.holder) == (claim.token, claim.token)
    assert step.lease_until == step.nudge_at == slot.until == world.time() + timedelta(seconds=claims.LEASE_S)
    assert [attempt.outcome for attempt in world.attempts(job, STEP)] == [None]


def test_a_claim_that_another_worker_has_by_then_is_not_granted(world: World, job: Job) -> None:
    heirs: list[object] = []

    def take_over() -> None:
        world.time.advance(claims.LEASE_S)
        heirs.append(_ask(world, job))

    with _lost_answers(take_over):
        answer = _ask(world, job)

    (heir,) = heirs
    assert isinstance(heir, Claim)
    assert answer is ClaimRefused.NOT_NOW
    assert world.step(job, STEP).claim_token == heir.token


def test_a_claim_whose_slot_is_anothers_by_then_is_not_granted(world: World, job: Job) -> None:
    def take_slot() -> None:
        taken = update(Slot).where(Slot.holder.is_not(None)).values(holder="another")
        world.db.execute(taken)

    with _lost_answers(take_slot):
        answer = _ask(world, job)

    assert answer is ClaimRefused.NOT_NOW


def test_a_claim_that_lost_one_of_its_slots_by_then_is_not_granted(world: World, new_name: NewName) -> None:
    comparison = world.accept_for(world.make_app(new_name("app")), "drift")

    def take_slot() -> None:
        *_, last = _slots(world)
        is_last = (Slot.upstream == last.upstream, Slot.number == last.number)
        world.db.execute(update(Slot).where(*is_last).values(holder="another"))

    with _lost_answers(take_slot):
        answer = attempts.claim(world.db, comparison.id, "compare_app", worker="w", limits=world.limits)

    assert len(_slots(world)) > 1
    assert answer is ClaimRefused.NOT_NOW


def test_a_refusal_is_no_claim_that_could_be_found_again(world: World, job: Job) -> None:
    held = _ask(world, job)

    with _lost_answers(lambda: None):
        assert _ask(world, job) is ClaimRefused.NOT_NOW

    assert isinstance(held, Claim)
    assert world.step(job, STEP).claim_token == held.token


def test_an_outcome_is_recorded_once(world: World, job: Job) -> None:
    claim = _ask(world, job)
    assert isinstance(claim, Claim)

    with _lost_answers(lambda: None):
        state = outcomes.record_retry(world.db, claim, code="c", reason="r", delay_s=1)

    assert state is StepState.RETRYING
    assert [attempt.outcome for attempt in world.attempts(job, STEP)] == [Outcome.TRANSIENT]

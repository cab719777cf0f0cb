"""What the next attempt may know of the refusals before it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session
from support.world import World

from common.admission.outages import Hold, HoldCode
from common.database.models import Job
from common.jobs import attempts, interventions, outcomes
from common.jobs.claims import Claim
from common.jobs.outcomes import UNDECIDED, UNEXPLAINED, RefusedBefore

NewName = Callable[[str], str]
STEP, POLLING = "create_gitlab_user", "assign_jenkins_role"
HELD = Hold(code=HoldCode.REFUSED, reason="GitLab refuses us.", cause="GitLab refuses us")


@pytest.fixture
def job(world: World, new_name: NewName) -> Job:
    return world.sign_up(new_name("ada"))


def _claim(world: World, job: Job, step: str = STEP) -> Claim:
    claim = attempts.claim(world.db, job.id, step, worker="w", limits={})
    assert isinstance(claim, Claim), claim
    return claim


def _waiting(world: World, job: Job) -> Claim:
    """Return a claim of a step that has waited for ten seconds."""
    outcomes.record_success(world.db, _claim(world, job, "create_jenkins_user"), {})
    first = _claim(world, job, POLLING)
    outcomes.record_wait(world.db, first, code="not_yet", reason="Not there.", retry_after_s=10)
    world.time.advance(10)
    return _claim(world, job, POLLING)


def _refused(world: World, job: Job, code: str) -> None:
    claim = _claim(world, job)
    if code == "held":
        outcomes.record_hold(world.db, claim, HELD)
    else:
        outcomes.record_retry(world.db, claim, code=code, reason="r", delay_s=0)
    world.time.advance(1)


def test_refusals_are_counted_back_to_the_last_attempt_that_was_not_refused(world: World, job: Job) -> None:
    began = world.time()

    def after(*codes: str) -> RefusedBefore:
        for code in codes:
            _refused(world, job, code)
        claim = _claim(world, job)
        found = outcomes.refused_before(world.db, claim)
        outcomes.record_retry(world.db, claim, code="c", reason="r", delay_s=0)  # ends the row
        return found

    def at(second: int) -> Any:
        return began + timedelta(seconds=second)

    assert after() == RefusedBefore()
    assert after(UNEXPLAINED, UNEXPLAINED) == RefusedBefore(since=at(0), unexplained=2)
    assert after("held", UNEXPLAINED) == RefusedBefore(since=at(2), held_at=at(2), unexplained=1)
    assert after(UNEXPLAINED, "held", "held") == RefusedBefore(since=at(4), held_at=at(6))


def test_refusals_that_nobody_could_ask_about_are_counted_apart(world: World, job: Job) -> None:
    began = world.time()
    for code in (UNDECIDED, UNEXPLAINED, UNDECIDED):
        _refused(world, job, code)

    found = outcomes.refused_before(world.db, _claim(world, job))

    assert found == RefusedBefore(since=began, unexplained=1, undecided=2)


def test_a_poll_that_worked_ends_the_row_of_refusals(world: World, job: Job) -> None:
    claim = _waiting(world, job)
    outcomes.record_hold(world.db, claim, HELD)
    at = world.time()

    claim = _claim(world, job, POLLING)
    assert outcomes.refused_before(world.db, claim) == RefusedBefore(since=at, held_at=at)
    outcomes.record_wait(world.db, claim, code="c", reason="r", retry_after_s=0)

    assert outcomes.refused_before(world.db, _claim(world, job, POLLING)) == RefusedBefore()


def test_a_retry_by_a_person_ends_the_row_of_refusals(world: World, job: Job) -> None:
    _refused(world, job, UNEXPLAINED)
    outcomes.record_failure(world.db, _claim(world, job), code=UNEXPLAINED, reason="r")
    for step in ("create_jenkins_user", "create_kibana_user"):
        outcomes.record_failure(world.db, _claim(world, job, step), code="c", reason="r")

    def retry(session: Session) -> None:
        interventions.retry(session, job.id, world.time())

    world.db.transaction(retry)

    assert outcomes.refused_before(world.db, _claim(world, job)) == RefusedBefore()

"""What is recorded when an attempt ends."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from support.outages import take_down
from support.world import World

from common.admission import outages
from common.admission.outages import Hold, HoldCode
from common.database.models import Job, Secret
from common.jobs import attempts, claims, interventions, outcomes
from common.jobs.claims import Claim, ClaimLostError
from common.states import Outcome, StepState
from common.workflows import Upstream

NewName = Callable[[str], str]
STEP, POLLING = "create_gitlab_user", "assign_jenkins_role"
GITLAB, JENKINS = Upstream.GITLAB, Upstream.JENKINS
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


def _retry(world: World, claim: Claim, **more: Any) -> StepState:
    return outcomes.record_retry(world.db, claim, code="c", reason="r", delay_s=5, **more)


def _failures(world: World, upstream: Upstream) -> int:
    return world.db.read(lambda session: outages.read(session)[upstream].failures)


# -- success ------------------------------------------------------------------------------------------------------


def test_a_success_keeps_the_output_and_ends_the_claim_and_the_wait(world: World, job: Job) -> None:
    claim = _waiting(world, job)
    world.time.advance(1)

    outcomes.record_success(world.db, claim, {"a": 1})

    step, (attempt,) = world.step(job, POLLING), world.attempts(job, POLLING)
    assert (step.state, step.output, step.finished_at, step.waiting_since) == (
        StepState.SUCCEEDED, {"a": 1}, world.time(), None
    )  # fmt: skip
    assert (step.claim_token, step.lease_until, step.nudge_at, step.nudges) == (None, None, None, 0)
    assert (attempt.outcome, attempt.finished_at) == (Outcome.SUCCEEDED, world.time())


def test_the_password_is_kept_for_other_jobs_and_until_a_skipped_step_is_the_last(
    world: World, job: Job, new_name: NewName
) -> None:
    other = world.sign_up(new_name("ada"))

    def is_kept(of: Job) -> bool:
        return world.db.read(lambda session: session.get(Secret, (of.id, "password"))) is not None

    for step in ("create_gitlab_user", "create_jenkins_user"):
        outcomes.record_success(world.db, _claim(world, job, step), {})
    assert is_kept(job)
    outcomes.record_success(world.db, _claim(world, job, "create_kibana_user"), {})

    assert (is_kept(job), is_kept(other)) == (False, True)


# -- waits --------------------------------------------------------------------------------------------------------


def test_a_wait_says_when_it_polls_again_and_since_when_it_waits(world: World, job: Job) -> None:
    claim = _waiting(world, job)
    since = world.step(job, POLLING).waiting_since

    state = outcomes.record_wait(world.db, claim, code="not_yet", reason="Still not.", retry_after_s=20)

    step, (attempt,) = world.step(job, POLLING), world.attempts(job, POLLING)
    assert (state, step.state, step.code, step.reason) == (
        StepState.WAITING, StepState.WAITING, "not_yet", "Still not."
    )  # fmt: skip
    assert step.due_at == step.nudge_at == world.time() + timedelta(seconds=20)
    assert (step.waiting_since, attempt.outcome) == (since, None)


def test_the_last_poll_is_at_the_end_of_the_wait_and_then_it_fails(world: World, job: Job) -> None:
    claim = _waiting(world, job)
    assert claim.plan.wait is not None
    at_most_s = claim.plan.wait.at_most_s

    outcomes.record_wait(world.db, claim, code="not_yet", reason="Not there.", retry_after_s=at_most_s)
    assert world.step(job, POLLING).due_at == world.time() + timedelta(seconds=at_most_s - 10)
    world.time.advance(at_most_s - 10)
    last = _claim(world, job, POLLING)
    state = outcomes.record_wait(world.db, last, code="not_yet", reason="Not there.", retry_after_s=1)

    step, (attempt,) = world.step(job, POLLING), world.attempts(job, POLLING)
    assert (state, step.code) == (StepState.FAILED, "wait_timed_out")
    assert step.reason == f"Not there. Gave up waiting after {at_most_s:.0f} s."
    assert (attempt.outcome, attempt.code) == (Outcome.FAILED, "wait_timed_out")


def test_a_step_that_may_not_wait_fails_at_once(world: World, job: Job) -> None:
    claim = _claim(world, job)
    assert claim.plan.wait is None

    state = outcomes.record_wait(world.db, claim, code="not_yet", reason="Not there", retry_after_s=1)

    assert (state, world.step(job, STEP).reason) == (StepState.FAILED, "Not there. The step may not wait.")


def test_failures_before_a_poll_that_worked_do_not_count(world: World, job: Job) -> None:
    _retry(world, _waiting(world, job))
    world.time.advance(5)
    claim = _claim(world, job, POLLING)
    assert (claim.attempt, claim.tries) == (2, 2)
    outcomes.record_wait(world.db, claim, code="not_yet", reason="r", retry_after_s=1)
    world.time.advance(1)

    assert _claim(world, job, POLLING).tries == 1


# -- retries ------------------------------------------------------------------------------------------------------


def test_a_retry_is_due_after_its_delay_with_the_reason_in_step_and_attempt(world: World, job: Job) -> None:
    claim = _claim(world, job)
    world.time.advance(1)

    assert _retry(world, claim) is StepState.RETRYING

    step, (attempt,) = world.step(job, STEP), world.attempts(job, STEP)
    assert step.due_at == step.nudge_at == world.time() + timedelta(seconds=5)
    assert (step.code, step.reason) == (attempt.code, attempt.reason) == ("c", "r")
    assert (attempt.outcome, attempt.finished_at) == (Outcome.TRANSIENT, world.time())


def test_the_last_attempt_fails_the_step_and_says_how_many_there_were(world: World, job: Job) -> None:
    allowed = _claim(world, job).plan.retry.attempts
    world.time.advance(claims.LEASE_S)
    for _ in range(allowed - 2):
        assert _retry(world, _claim(world, job)) is StepState.RETRYING
        world.time.advance(5)

    assert _retry(world, _claim(world, job)) is StepState.FAILED

    step, last = world.step(job, STEP), world.attempts(job, STEP)[-1]
    assert (step.code, step.reason) == ("c", f"r. Gave up after {allowed} attempts.")
    assert (last.number, last.outcome, last.reason) == (allowed, Outcome.TRANSIENT, "r")


def test_an_attempt_without_an_answer_counts_unless_the_upstream_is_known_to_be_down(world: World, job: Job) -> None:
    _retry(world, _claim(world, job), unavailable=GITLAB, enough=5)
    assert (_failures(world, GITLAB), world.step(job, STEP).forgiven) == (1, 0)
    world.time.advance(5)
    under_way = _claim(world, job)
    take_down(world.db, GITLAB, "r")

    _retry(world, under_way, unavailable=GITLAB, enough=5)

    assert world.step(job, STEP).forgiven == 1


@pytest.mark.parametrize(
    ("more", "suspended_s"),
    [({"unavailable": JENKINS}, 6), ({"is_told_to_wait": True}, 6), ({"is_answer": True}, 0)],
)
def test_time_for_which_the_upstream_is_away_or_asks_us_to_wait_is_no_wait(
    world: World, job: Job, more: dict[str, Any], suspended_s: float
) -> None:
    claim = _waiting(world, job)
    since = world.step(job, POLLING).waiting_since
    assert since is not None
    world.time.advance(1)

    _retry(world, claim, **more)

    assert world.step(job, POLLING).waiting_since == since + timedelta(seconds=suspended_s)


@pytest.mark.parametrize(
    ("record", "is_answer"),
    [
        (lambda db, claim: outcomes.record_success(db, claim, {}), True),
        (lambda db, claim: outcomes.record_hold(db, claim, HELD), True),
        (lambda db, claim: outcomes.record_failure(db, claim, code="conflict", reason="r"), True),
        (lambda db, claim: outcomes.record_failure(db, claim, code=outcomes.INTERNAL, reason="r"), False),
        (lambda db, claim: outcomes.record_retry(db, claim, code="c", reason="r", delay_s=1, is_answer=True), True),
        (lambda db, claim: outcomes.record_retry(db, claim, code="c", reason="r", delay_s=1), False),
    ],
)
def test_an_answer_ends_the_row_of_failures_of_the_upstream_and_nothing_else_does(
    world: World, job: Job, new_name: NewName, record: Callable[[Any, Claim], object], is_answer: bool
) -> None:
    _retry(world, _claim(world, job), unavailable=GITLAB, enough=5)
    outages.record_unavailable(world.db, JENKINS, "r", world.time(), enough=5)
    claim = attempts.claim(world.db, world.sign_up(new_name("ada")).id, STEP, worker="w", limits=world.limits)
    assert isinstance(claim, Claim)

    record(world.db, claim)

    assert (_failures(world, GITLAB), _failures(world, JENKINS)) == (0 if is_answer else 1, 1)


# -- holds and failures -------------------------------------------------------------------------------------------


def test_a_hold_parks_the_step_and_its_attempt_does_not_count(world: World, job: Job) -> None:
    claim = _waiting(world, job)
    since = world.step(job, POLLING).waiting_since
    assert since is not None
    world.time.advance(2)

    assert outcomes.record_hold(world.db, claim, HELD) is StepState.RETRYING

    step, (attempt,) = world.step(job, POLLING), world.attempts(job, POLLING)
    assert (step.code, step.reason, step.forgiven) == ("refused", HELD.reason, 1)
    assert (step.due_at, step.parked_at, step.nudge_at) == (world.time(), world.time(), None)
    assert step.waiting_since == since + timedelta(seconds=2)
    assert (attempt.outcome, attempt.code, attempt.reason, attempt.finished_at) == (
        Outcome.TRANSIENT, "refused", HELD.reason, world.time()
    )  # fmt: skip


def test_a_failure_keeps_its_reason_and_remedy_in_step_and_attempt(world: World, job: Job) -> None:
    claim = _claim(world, job)
    world.time.advance(1)

    state = outcomes.record_failure(world.db, claim, code="conflict", reason="Not ours.", remedy=["Rename it."])

    step, (attempt,) = world.step(job, STEP), world.attempts(job, STEP)
    assert (state, step.state, step.code, step.reason, step.remedy) == (
        StepState.FAILED, StepState.FAILED, "conflict", "Not ours.", ["Rename it."]
    )  # fmt: skip
    assert (step.finished_at, step.claim_token, step.lease_until, step.due_at) == (world.time(), None, None, None)
    assert (attempt.outcome, attempt.code, attempt.reason, attempt.finished_at) == (
        Outcome.FAILED, "conflict", "Not ours.", world.time()
    )  # fmt: skip


# -- an outcome that is recorded twice, as when the answer to a commit is lost ----------------------------------------


@pytest.mark.parametrize(
    ("record", "state"),
    [
        (lambda db, claim: outcomes.record_wait(db, claim, code="c", reason="r", retry_after_s=1), StepState.WAITING),
        (lambda db, claim: outcomes.record_retry(db, claim, code="c", reason="r", delay_s=1), StepState.RETRYING),
        (lambda db, claim: outcomes.record_failure(db, claim, code="c", reason="r"), StepState.FAILED),
    ],
)
def test_an_outcome_that_was_recorded_already_is_not_recorded_again(
    world: World, job: Job, record: Callable[[Any, Claim], StepState], state: StepState
) -> None:
    claim = _waiting(world, job)
    assert record(world.db, claim) is state
    version = world.job(job).version

    assert record(world.db, claim) is state
    assert world.job(job).version == version


@pytest.mark.parametrize("is_cancelled", [True, False])
def test_an_outcome_is_not_taken_for_recorded_when_the_claim_was_lost(
    world: World, job: Job, is_cancelled: bool
) -> None:
    claim = _claim(world, job)
    if is_cancelled:
        world.db.transaction(lambda session: interventions.cancel(session, job.id, world.time()))
    else:
        world.time.advance(claims.LEASE_S)
        _claim(world, job)

    with pytest.raises(ClaimLostError):
        _retry(world, claim)

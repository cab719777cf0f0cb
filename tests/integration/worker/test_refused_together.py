"""Many steps that are refused at the same time: one question is asked, and nobody pays for what goes wrong with it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from sqlalchemy import update
from support.world import World

from common.admission import outages, refusals, slots
from common.admission.refusals import Cause
from common.database.models import Job, Refusal, Step
from common.errors import Refused, Transient
from common.jobs import attempts
from common.jobs.claims import Claim
from common.jobs.outcomes import UNDECIDED
from common.states import JobState, StepState
from common.workflows import SIGNUP, Upstream
from harbour.faults import Fault
from worker import upstreams
from worker.refusals import FIRST_UNDECIDED_S, RefusalProbe
from worker.runner import NextAction, StepResult
from worker.upstreams.standing import Good, Held, Missing, Standing

pytestmark = pytest.mark.one_database

NewName = Callable[[str], str]
GITLAB = Upstream.GITLAB
STEP = "create_gitlab_user"
ENDED = Held(cause="GitLab refuses Slipway's account", remedy="put a new token into GITLAB_TOKEN")
UNAUTHORIZED = Fault(kind="status", status=401, body='{"message":"401 Unauthorized"}')
IN_PROGRESS = 40
ON_LAST_ATTEMPT = 8
NO_TIME = Transient("the time for this attempt is used up")


@dataclass
class Desk:
    """Who asks for our standing gets the next of `answers`, the last one again and again."""

    answers: list[Standing | Exception]
    asked: int = 0
    meanwhile: Callable[[], None] = field(default=lambda: None)

    def __call__(self, upstream: Upstream, _refused: Refused | None) -> Standing:
        assert upstream is GITLAB
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.meanwhile()
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def desk(world: World) -> Desk:
    asked = Desk([ENDED])
    world.limits = {**world.limits, GITLAB: slots.UpstreamLimits(at_once=IN_PROGRESS, login=_logins(world)[GITLAB])}
    slots.prepare(world.db, world.limits)
    world.runner = world.runner_named("asking", ask=asked)
    return asked


def _logins(world: World) -> dict[Upstream, str]:
    return upstreams.logins(world.settings, world.context.vault)


def _claimed(world: World, job: Job) -> Claim:
    claim = attempts.claim(world.db, job.id, STEP, worker="w", limits=world.limits)
    assert isinstance(claim, Claim), claim
    return claim


def _in_progress(world: World, new_name: NewName, count: int) -> tuple[list[Job], list[Claim]]:
    """Return sign-ups whose first step runs, the first few for the last time."""
    jobs = [world.sign_up(new_name("ada")) for _ in range(count)]
    last = SIGNUP.steps[0].retry.attempts - 1
    ids = [job.id for job in jobs[:ON_LAST_ATTEMPT]]
    used_up = update(Step).where(Step.job_id.in_(ids), Step.name == STEP).values(attempts=last)
    world.db.transaction(lambda session: session.execute(used_up))
    return jobs, [_claimed(world, job) for job in jobs]


def _end(world: World, claim: Claim) -> StepResult:
    return world.runner._run_claimed(claim)  # noqa: SLF001 - as a worker that has had the claim for a while


def _row(world: World) -> Refusal:
    row = refusals.find(world.db, GITLAB, _logins(world)[GITLAB])
    assert row is not None
    return row


def _pass(world: World, probe: RefusalProbe, *, seconds: int, every_s: int = 5) -> None:
    for _ in range(seconds // every_s):
        world.time.advance(every_s)
        probe.run()
        for lane in world.due():
            for step in lane.steps:
                if world.runner.run(lane.job_id, step).action is not NextAction.GO_ON:
                    break


def _messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.message for each in caplog.records if each.message in ("upstream_refused", "upstream_accepted")]


def _failures(world: World) -> int:
    return world.db.read(lambda session: outages.read(session)[GITLAB].failures)


# -- all at once --------------------------------------------------------------------------------------------------


def test_forty_steps_that_are_refused_together_ask_once_and_all_succeed_after_the_release(
    world: World, desk: Desk, new_name: NewName, caplog: pytest.LogCaptureFixture
) -> None:
    """The calls of many questions wait for each other: whoever asks after the first one gets no answer in time."""
    jobs, running = _in_progress(world, new_name, IN_PROGRESS)
    desk.answers = [ENDED, NO_TIME]
    world.harbour.gitlab.inject(UNAUTHORIZED)

    for claim in running:
        assert _end(world, claim).action is NextAction.LATER

    assert desk.asked == 1
    world.harbour.clear_faults()
    desk.answers = [Good()]
    _pass(world, RefusalProbe(world.db, desk, _logins(world)), seconds=300)
    assert {world.job(job).state for job in jobs} == {JobState.SUCCEEDED}
    assert desk.asked == 2, "the question, and the check that ended the hold"
    assert _messages(caplog) == ["upstream_refused", "upstream_accepted"]
    assert _failures(world) == 0


def test_while_one_worker_asks_the_others_neither_ask_nor_use_an_attempt(
    world: World, desk: Desk, new_name: NewName, caplog: pytest.LogCaptureFixture
) -> None:
    jobs, (first, *others) = _in_progress(world, new_name, 12)
    world.harbour.gitlab.inject(UNAUTHORIZED)
    desk.meanwhile = lambda: _end_all(world, others)

    assert _end(world, first).code == "refused"

    assert desk.asked == 1
    for job in jobs[1:]:
        step = world.step(job, STEP)
        assert (step.state, step.code) == (StepState.RETRYING, UNDECIDED)
        assert step.due_at is not None
        assert step.due_at - world.time() >= timedelta(seconds=FIRST_UNDECIDED_S)
    calls = len(world.harbour.gitlab.calls)
    desk.meanwhile = lambda: None
    _pass(world, RefusalProbe(world.db, desk, _logins(world)), seconds=60)
    assert {world.step(job, STEP).code for job in jobs} == {"refused"}
    assert len(world.harbour.gitlab.calls) == calls, "they were parked without a call"
    assert _messages(caplog) == ["upstream_refused"]


def _end_all(world: World, claims: list[Claim]) -> None:
    """End them on other threads, as they would."""
    threads = [threading.Thread(target=_end, args=(world, claim)) for claim in claims]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)


def test_a_worker_that_died_while_it_asked_leaves_the_question_to_others(
    world: World, desk: Desk, new_name: NewName
) -> None:
    _jobs, (early, late) = _in_progress(world, new_name, 2)
    world.harbour.gitlab.inject(UNAUTHORIZED)
    login = _logins(world)[GITLAB]
    assert refusals.claim_question(world.db, GITLAB, login, world.time()) is not None

    assert _end(world, early).code == UNDECIDED
    world.time.advance(refusals.CHECK_LEASE_S)
    assert _end(world, late).code == "refused"

    assert desk.asked == 1


def test_a_question_that_led_to_no_hold_leaves_the_next_one_free(world: World, desk: Desk, new_name: NewName) -> None:
    _jobs, running = _in_progress(world, new_name, 3)
    world.harbour.gitlab.inject(UNAUTHORIZED)
    desk.answers = [Missing(right="the scope api"), NO_TIME, Missing(right="the scope api")]

    ended = [_end(world, claim) for claim in running]

    assert [each.action for each in ended] == [NextAction.STOP, NextAction.LATER, NextAction.STOP]
    assert desk.asked == 3


# -- what goes wrong with the question ------------------------------------------------------------------------------

UNANSWERED = {
    "our own time is up": (NO_TIME, 0, FIRST_UNDECIDED_S),
    "no answer": (Transient("GitLab answered 503", upstream="GitLab", is_unavailable=True), 1, FIRST_UNDECIDED_S),
    "too many calls": (Transient("GitLab answered 429", upstream="GitLab", retry_after_s=70), 0, 70),
    "a defect": (RuntimeError("a defect"), 0, FIRST_UNDECIDED_S),
}


@pytest.mark.parametrize(("problem", "failures", "at_least_s"), UNANSWERED.values(), ids=UNANSWERED)
def test_a_question_without_an_answer_uses_no_attempt(
    world: World, desk: Desk, new_name: NewName, problem: Exception, failures: int, at_least_s: float
) -> None:
    (job,), (claim,) = _in_progress(world, new_name, 1)
    world.harbour.gitlab.inject(UNAUTHORIZED)
    desk.answers = [problem]
    before = world.step(job, STEP)

    assert _end(world, claim).action is NextAction.LATER

    step = world.step(job, STEP)
    assert (step.state, step.code) == (StepState.RETRYING, UNDECIDED)
    assert step.attempts - step.forgiven == before.attempts - before.forgiven - 1
    assert step.due_at is not None
    assert (step.due_at - world.time()).total_seconds() >= at_least_s
    assert _failures(world) == failures
    assert world.runner.run(job.id, STEP).action is NextAction.NOT_OURS, "it was not left due"


def test_a_question_that_is_never_answered_ends_after_a_week(world: World, desk: Desk, new_name: NewName) -> None:
    (job,), (claim,) = _in_progress(world, new_name, 1)
    world.harbour.gitlab.inject(UNAUTHORIZED)
    desk.answers = [NO_TIME]
    _end(world, claim)

    world.time.advance(outages.LONGEST_HOLD_S - 3600)
    assert world.runner.run(job.id, STEP).action is NextAction.LATER
    world.time.advance(7200)

    assert world.runner.run(job.id, STEP).action is NextAction.STOP
    assert (world.step(job, STEP).reason or "").endswith("Gave up after 7 days")


# -- while a login is held -------------------------------------------------------------------------------------------


def test_what_is_refused_for_another_cause_meanwhile_is_judged_after_the_release(
    world: World, desk: Desk, new_name: NewName
) -> None:
    """All writes are refused; this read of one object is refused for good, and that may wait."""
    (job,), (claim,) = _in_progress(world, new_name, 1)
    login = _logins(world)[GITLAB]
    cause = Cause(cause="GitLab is read-only at present", remedy="end its maintenance mode", is_write=True)
    assert refusals.hold(world.db, GITLAB, login, cause, world.time())
    world.harbour.gitlab.inject(Fault(kind="status", status=403, method="GET"))
    desk.answers = [Missing(right="the scope api")]

    assert _end(world, claim).code == "refused"
    assert desk.asked == 0
    assert refusals.end(world.db, _row(world), world.time(), is_accepted=True)

    assert world.run_through(job, STEP).action is NextAction.STOP
    assert desk.asked == 1
    assert len(world.attempts(job, STEP)) == 2


def test_a_hold_that_ended_before_the_reply_came_is_no_reason_to_park(
    world: World, desk: Desk, new_name: NewName
) -> None:
    (job,), (claim,) = _in_progress(world, new_name, 1)
    login = _logins(world)[GITLAB]
    assert refusals.hold(world.db, GITLAB, login, Cause(cause="c", remedy="r", is_write=False), world.time())
    assert refusals.end(world.db, _row(world), world.time(), is_accepted=False)
    world.harbour.gitlab.inject(UNAUTHORIZED)
    desk.answers = [Missing(right="the scope api")]

    assert _end(world, claim).action is NextAction.STOP
    assert world.step(job, STEP).state is StepState.FAILED


def test_what_was_under_way_before_the_hold_is_no_trial_of_it(world: World, desk: Desk, new_name: NewName) -> None:
    """Its refusal is older than the check after which the trial began: the trial itself finds out."""
    (job, _), (first, late) = _in_progress(world, new_name, 2)
    world.harbour.gitlab.inject(UNAUTHORIZED)
    _end(world, first)
    world.time.advance(refusals.PAUSES_S[0])
    desk.answers = [Good(), ENDED]
    RefusalProbe(world.db, desk, _logins(world)).run()
    began = _row(world).trial_since
    assert began is not None

    assert _end(world, late).code == "refused"

    assert (desk.asked, _row(world).trial_since) == (2, began)
    assert _end(world, _claimed(world, job)).code == "refused"
    assert (desk.asked, _row(world).trial_since) == (3, None)

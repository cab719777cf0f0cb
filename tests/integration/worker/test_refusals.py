"""A refusal of our login costs no job anything but time, and one object that is refused holds no upstream."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from support.world import Time, World

from common.admission import outages, refusals, slots
from common.admission.outages import HoldCode
from common.admission.slots import Limits
from common.database.models import Job, Refusal
from common.errors import Refused, Transient
from common.jobs import attempts, dispatch, interventions, outcomes
from common.jobs.claims import Claim
from common.jobs.lane_messages import LaneMessage
from common.states import JobState, StepState
from common.workflows import Upstream
from harbour.faults import Fault
from worker import upstreams
from worker.refusals import PAUSES_S, RefusalProbe
from worker.runner import NextAction
from worker.upstreams.standing import Good, Held, Missing, Standing

pytestmark = pytest.mark.one_database

NewName = Callable[[str], str]
GITLAB, ELASTICSEARCH = Upstream.GITLAB, Upstream.ELASTICSEARCH
STEP, KIBANA_STEP = "create_gitlab_user", "create_kibana_user"
ENDED = Held(cause="GitLab refuses Slipway's account", remedy="put a new token into GITLAB_TOKEN")
READ_ONLY = Held(cause="GitLab is read-only at present", remedy="end GitLab's maintenance mode")
UNAUTHORIZED = Fault(kind="status", status=401, body='{"message":"401 Unauthorized"}')
DAY_S = 86_400


@dataclass
class Desk:
    """Who asks for our standing gets `standing`; what was asked is kept."""

    standing: Standing = ENDED
    problem: Transient | None = None
    asked: list[Refused | None] = field(default_factory=list)

    def __call__(self, upstream: Upstream, refused: Refused | None) -> Standing:
        assert upstream in (GITLAB, ELASTICSEARCH)
        self.asked.append(refused)
        if self.problem is not None:
            raise self.problem
        return self.standing


@pytest.fixture
def ask(world: World) -> Desk:
    answers = Desk()
    world.runner = world.runner_named("asking", ask=answers)
    return answers


@pytest.fixture
def probe(world: World, ask: Desk) -> RefusalProbe:
    return RefusalProbe(world.db, ask, _logins(world))


def _logins(world: World) -> dict[Upstream, str]:
    return upstreams.logins(world.settings, world.context.vault)


def _held(world: World, upstream: Upstream = GITLAB) -> Refusal | None:
    status = world.db.read(lambda session: outages.read(session)[upstream])
    return refusals.of(status.refusals, None)


def _parked(world: World, limits: Limits | None = None) -> list[LaneMessage]:
    return dispatch.take_parked(world.db, limits or world.limits)


def _refuse(world: World, fault: Fault = UNAUTHORIZED) -> None:
    world.harbour.gitlab.inject(fault)


def _refuse_object(world: World, login: str) -> None:
    world.harbour.elasticsearch.inject(Fault(kind="status", status=403, path=f"user/{login}"))


def _sign_ups(world: World, new_name: NewName, count: int) -> list[Job]:
    return [world.sign_up(new_name("ada")) for _ in range(count)]


def _messages(caplog: pytest.LogCaptureFixture) -> list[tuple[str, int]]:
    names = ("upstream_refused", "upstream_accepted")
    return [(record.message, record.levelno) for record in caplog.records if record.message in names]


def _let_pass(world: World, probe: RefusalProbe) -> None:
    """Let the refusal pass, and the probe find that out."""
    world.harbour.clear_faults()
    world.time.advance(refusals.PAUSES_S[-1])
    probe.run()


# -- the hold -----------------------------------------------------------------------------------------------------


def test_a_refused_account_parks_the_step_and_all_others_and_uses_no_attempt(
    world: World, ask: Desk, new_name: NewName, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = _sign_ups(world, new_name, 2)
    _refuse(world)

    held = world.runner.run(first.id, STEP)
    calls = len(world.harbour.gitlab.calls)
    also = world.runner.run(second.id, STEP)

    assert (held.action, also.action) == (NextAction.LATER, NextAction.LATER)
    assert len(world.harbour.gitlab.calls) == calls, "the second one was sent"
    step = world.step(first, STEP)
    assert (step.state, step.code, step.attempts - step.forgiven) == (StepState.RETRYING, "refused", 0)
    assert (world.step(second, STEP).state, world.step(second, STEP).code) == (StepState.READY, "refused")
    assert step.reason == world.step(second, STEP).reason
    assert step.reason is not None
    assert step.reason.startswith("GitLab refuses Slipway's account. The platform team has been notified.")
    assert _parked(world) == []
    assert _messages(caplog) == [("upstream_refused", logging.ERROR)]
    assert isinstance(ask.asked[0], Refused)
    assert world.runner.run(first.id, "create_kibana_user").action is NextAction.GO_ON  # others go on


@pytest.mark.usefixtures("ask")
def test_those_under_way_when_it_began_wait_too_and_the_operator_is_informed_once(
    world: World, new_name: NewName, caplog: pytest.LogCaptureFixture
) -> None:
    accepted = _sign_ups(world, new_name, 5)
    claims = [attempts.claim(world.db, job.id, STEP, worker="w", limits=world.limits) for job in accepted]
    refused = Refused("refused", upstream="GitLab", status=401, method="GET", path="/")

    for claim in claims:
        assert isinstance(claim, Claim)
        world.runner._not_done(claim, refused)  # noqa: SLF001 - as when their replies come

    assert {world.step(job, STEP).code for job in accepted} == {"refused"}
    assert [name for name, _ in _messages(caplog)] == ["upstream_refused"]
    row = _held(world)
    assert row is not None
    assert row.looks == 0, "steps that were under way are no trials"


def test_every_job_in_progress_succeeds_after_the_release(
    world: World, ask: Desk, probe: RefusalProbe, new_name: NewName, caplog: pytest.LogCaptureFixture
) -> None:
    accepted = _sign_ups(world, new_name, 8)
    _refuse(world)
    _pass(world, probe, seconds=1800)
    assert {world.job(job).state for job in accepted} == {JobState.RUNNING}

    world.harbour.clear_faults()
    ask.standing = Good()
    _pass(world, probe, seconds=200)

    assert {world.job(job).state for job in accepted} == {JobState.SUCCEEDED}
    assert max(len(world.attempts(job, STEP)) for job in accepted) <= 2
    assert _messages(caplog) == [("upstream_refused", logging.ERROR), ("upstream_accepted", logging.WARNING)]
    assert _held(world) is None


def _pass(world: World, probe: RefusalProbe, *, seconds: int, every_s: int = 5) -> None:
    for _ in range(seconds // every_s):
        world.time.advance(every_s)
        probe.run()
        for lane in world.due():
            for step in lane.steps:
                if world.runner.run(lane.job_id, step).action is not NextAction.GO_ON:
                    break


def test_a_wait_stands_still_while_we_are_refused(
    world: World, ask: Desk, probe: RefusalProbe, new_name: NewName
) -> None:
    """The helm repository is waited for at most 10 minutes: not of a refusal of an hour."""
    made = world.make_app(new_name("shop"))
    world.run_through(made, "fork_helm")
    poll = attempts.claim(world.db, made.id, "await_helm", worker="w", limits=world.limits)
    assert isinstance(poll, Claim)
    outcomes.record_wait(world.db, poll, code="not_yet", reason="copying", retry_after_s=2)
    world.time.advance(2)
    _refuse(world)
    world.runner.run(made.id, "await_helm")
    assert world.step(made, "await_helm").code == "refused"

    world.time.advance(3600)
    ask.standing = Good()
    _let_pass(world, probe)

    assert world.run_through(made, "await_helm").action is NextAction.GO_ON


# -- trial and release --------------------------------------------------------------------------------------------


def test_one_step_goes_as_a_trial_and_the_others_wait_for_its_outcome(
    world: World, ask: Desk, probe: RefusalProbe, new_name: NewName
) -> None:
    accepted = _sign_ups(world, new_name, 6)
    _refuse(world)
    for job in accepted:
        world.runner.run(job.id, STEP)
    ask.standing = Good()
    _let_pass(world, probe)

    (lane,) = _parked(world)
    trial = attempts.claim(world.db, lane.job_id, STEP, worker="w", limits=world.limits)
    assert isinstance(trial, Claim)
    world.time.advance(slots.RAMP_S + 1)  # after an outage, two would go by now
    assert _parked(world) == [], "another one went while the trial ran"
    other = next(job for job in accepted if job.id != lane.job_id)
    refused = attempts.claim(world.db, other.id, STEP, worker="w", limits=world.limits)
    assert getattr(refused, "code", None) is HoldCode.BUSY
    outcomes.record_success(world.db, trial, {})
    assert len(_parked(world)) == 1, "its outcome leaves room for the next one"


def test_a_trial_that_is_accepted_ends_the_hold_and_few_go_at_first(
    world: World, ask: Desk, probe: RefusalProbe, new_name: NewName
) -> None:
    accepted = _sign_ups(world, new_name, 6)
    _refuse(world)
    for job in accepted:
        world.runner.run(job.id, STEP)
    ask.standing = Good()
    _let_pass(world, probe)

    (lane,) = _parked(world)
    world.runner.run(lane.job_id, STEP)

    assert _held(world) is None
    assert len(_parked(world)) == 1
    world.time.advance(slots.RAMP_S)
    assert len(_parked(world)) == 2


def test_a_refused_trial_holds_again_for_longer_and_says_nothing(
    world: World, ask: Desk, probe: RefusalProbe, new_name: NewName, caplog: pytest.LogCaptureFixture
) -> None:
    """The reads pass and every write is refused: our standing seems good each time."""
    accepted = _sign_ups(world, new_name, 2)
    _refuse(world, Fault(kind="status", status=403, method="POST", body='{"message":"read-only"}'))
    ask.standing = READ_ONLY
    world.runner.run(accepted[0].id, STEP)
    world.runner.run(accepted[1].id, STEP)
    pauses, tried = [], []
    for _ in range(5):
        row = _held(world)
        assert row is not None
        pauses.append((row.look_at - world.time()).total_seconds())
        world.time.advance(pauses[-1])
        ask.standing = Good()
        probe.run()
        ask.standing = READ_ONLY
        (lane,) = _parked(world)
        tried.append(lane.job_id)
        world.runner.run(lane.job_id, STEP)

    assert pauses == sorted(set(pauses)), "each pause is longer than the one before"
    assert set(tried) == {job.id for job in accepted}, "they take turns: one that is refused holds up no others"
    assert [name for name, _ in _messages(caplog)] == ["upstream_refused"]
    assert {world.step(job, STEP).attempts - world.step(job, STEP).forgiven for job in accepted} == {0}


def test_a_refused_trial_that_nobody_could_be_asked_about_does_not_end_the_hold(
    world: World, ask: Desk, probe: RefusalProbe, new_name: NewName, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = _sign_ups(world, new_name, 2)
    _refuse(world)
    world.runner.run(first.id, STEP)
    world.runner.run(second.id, STEP)
    ask.standing = Good()
    world.time.advance(refusals.PAUSES_S[0])
    probe.run()
    ask.problem = Transient("GitLab answered 429", upstream="GitLab")

    (lane,) = _parked(world)
    assert world.runner.run(lane.job_id, STEP).code == outcomes.UNDECIDED

    row = _same(world)
    assert (row.trial_since, row.looks) == (None, 1)
    assert (row.look_at - world.time()).total_seconds() == refusals.PAUSES_S[1]
    world.time.advance(refusals.TRIAL_S)
    probe.run()
    assert _held(world) is not None
    assert [name for name, _ in _messages(caplog)] == ["upstream_refused"]


def test_a_hold_of_writes_does_not_end_with_a_read(
    world: World, ask: Desk, probe: RefusalProbe, new_name: NewName
) -> None:
    made = world.make_app(new_name("shop"))
    world.run_through(made, "fork_helm")
    job = world.sign_up(new_name("ada"))
    _refuse(world, Fault(kind="status", status=403, method="POST", body='{"message":"read-only"}'))
    ask.standing = READ_ONLY
    world.runner.run(job.id, STEP)
    world.runner.run(made.id, "await_helm")
    ask.standing = Good()
    _let_pass(world, probe)

    assert world.runner.run(made.id, "await_helm").action is not NextAction.STOP
    assert _held(world) is not None
    world.runner.run(job.id, STEP)
    assert _held(world) is None


def test_trials_that_only_read_do_not_hold_an_upstream_for_ever(
    world: World, ask: Desk, probe: RefusalProbe, new_name: NewName
) -> None:
    job = world.sign_up(new_name("ada"))
    _refuse(world, Fault(kind="status", status=403, method="POST", body='{"message":"read-only"}'))
    ask.standing = READ_ONLY
    world.runner.run(job.id, STEP)
    world.db.transaction(lambda session: interventions.cancel(session, job.id, world.time()))
    ask.standing = Good()
    _let_pass(world, probe)
    assert _held(world) is not None

    world.time.advance(refusals.TRIAL_S)
    probe.run()

    assert _held(world) is None


def test_a_check_without_an_answer_keeps_the_hold(
    world: World, ask: Desk, probe: RefusalProbe, new_name: NewName
) -> None:
    (job,) = _sign_ups(world, new_name, 1)
    _refuse(world)
    world.runner.run(job.id, STEP)
    ask.problem = Transient("GitLab did not answer", upstream="GitLab", is_unavailable=True)

    for _ in range(3):
        world.time.advance(refusals.PAUSES_S[-1])
        probe.run()

    row = _held(world)
    assert row is not None
    assert (row.looks, row.trial_since) == (3, None)


def test_of_many_workers_one_sends_each_check(world: World, ask: Desk, new_name: NewName) -> None:
    (job,) = _sign_ups(world, new_name, 1)
    _refuse(world)
    world.runner.run(job.id, STEP)
    ask.asked.clear()
    world.time.advance(refusals.PAUSES_S[0])
    row = _held(world)
    assert row is not None

    claims = [refusals.claim_check(world.db, _same(world), world.time()) for _ in range(1)]
    again = refusals.claim_check(world.db, row, world.time())

    assert claims[0] is not None
    assert again is None
    RefusalProbe(world.db, ask, _logins(world)).run()
    assert ask.asked == []


def _same(world: World) -> Refusal:
    row = _held(world)
    assert row is not None
    return row


# -- another login ------------------------------------------------------------------------------------------------


def test_a_worker_with_another_token_is_not_held_and_is_not_held_by_those_with_the_old_one(
    world: World, ask: Desk, new_name: NewName, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = _sign_ups(world, new_name, 2)
    _refuse(world)
    world.runner.run(first.id, STEP)
    world.runner.run(second.id, STEP)
    world.harbour.clear_faults()
    old, old_limits = world.runner, world.limits

    renewed = {**_logins(world), GITLAB: "another"}
    world.limits = slots.limits_of(world.settings, renewed)
    new = world.runner_named("renewed", ask=ask)

    assert _parked(world, old_limits) == []
    assert {lane.job_id for lane in _parked(world)} == {first.id, second.id}
    assert old.run(first.id, STEP).action is NextAction.LATER
    assert new.run(first.id, STEP).action is NextAction.GO_ON
    probe = RefusalProbe(world.db, ask, renewed)
    world.time.advance(refusals.PAUSES_S[0] + refusals.ABANDONED_S + 1)
    probe.run()
    assert _held(world) is None, "no worker has the old token any more"
    assert [name for name, _ in _messages(caplog)] == ["upstream_refused", "upstream_accepted"]


def test_a_login_is_kept_as_a_keyed_hash_and_changes_with_token_and_address(world: World) -> None:
    before = _logins(world)
    other = world.settings.model_copy(update={"gitlab_url": "http://127.0.0.2:1"})

    assert {len(each) for each in before.values()} == {16}
    assert upstreams.logins(other, world.context.vault)[GITLAB] != before[GITLAB]
    assert upstreams.logins(other, world.context.vault)[Upstream.JENKINS] == before[Upstream.JENKINS]


# -- one object, a right that is missing, no answer ---------------------------------------------------------------


def test_a_missing_right_fails_the_step_within_one_attempt(world: World, ask: Desk, new_name: NewName) -> None:
    (job,) = _sign_ups(world, new_name, 1)
    _refuse(world)
    ask.standing = Missing(right="the scope api")

    assert world.runner.run(job.id, STEP).action is NextAction.STOP

    step = world.step(job, STEP)
    assert (step.state, step.attempts, step.code) == (StepState.FAILED, 1, "rejected")
    assert step.reason is not None
    assert step.reason.endswith("It lacks the scope api")
    assert step.remedy
    assert _held(world) is None


def test_one_refused_object_is_tried_a_few_times_and_holds_nothing(
    world: World, ask: Desk, new_name: NewName, caplog: pytest.LogCaptureFixture
) -> None:
    login = new_name("ada")
    job, other = world.sign_up(login), world.sign_up(new_name("bob"))
    _refuse_object(world, login)
    ask.standing = Good()
    began = world.time()

    assert world.run_through(job, KIBANA_STEP).action is NextAction.STOP

    assert len(world.attempts(job, KIBANA_STEP)) == len(PAUSES_S) + 1
    assert (world.time() - began).total_seconds() <= 90
    assert world.step(job, KIBANA_STEP).code == "rejected"
    assert world.runner.run(other.id, KIBANA_STEP).action is NextAction.GO_ON
    assert _messages(caplog) == []


def test_an_object_whose_refusal_passes_succeeds(world: World, ask: Desk, new_name: NewName) -> None:
    (job,) = _sign_ups(world, new_name, 1)
    _refuse(world, Fault(kind="status", status=403, times=2))
    ask.standing = Good()

    assert world.run_through(job, STEP).action is NextAction.GO_ON


@pytest.mark.usefixtures("ask")
def test_a_step_that_is_refused_while_others_are_accepted_does_not_hold_them_again(
    world: World, new_name: NewName, caplog: pytest.LogCaptureFixture
) -> None:
    """A wrong answer about one object: it uses up its own attempts, and the others go on."""
    login = new_name("ada")
    poisoned, other = world.sign_up(login), world.sign_up(new_name("bob"))
    _refuse_object(world, login)
    world.runner.run(poisoned.id, KIBANA_STEP)
    assert world.runner.run(other.id, KIBANA_STEP).action is NextAction.LATER

    _pass(world, probe_with(world, Good()), seconds=3600, every_s=20)

    assert world.step(other, KIBANA_STEP).state is StepState.SUCCEEDED
    assert world.step(poisoned, KIBANA_STEP).state is StepState.FAILED
    assert _held(world, ELASTICSEARCH) is None
    assert [name for name, _ in _messages(caplog)] == ["upstream_refused", "upstream_accepted"]


def probe_with(world: World, standing: Standing) -> RefusalProbe:
    return RefusalProbe(world.db, lambda _upstream, _refused: standing, _logins(world))


def test_no_answer_about_our_standing_is_an_upstream_that_is_unavailable(
    world: World, ask: Desk, new_name: NewName
) -> None:
    (job,) = _sign_ups(world, new_name, 1)
    _refuse(world)
    ask.problem = Transient("GitLab answered 503", upstream="GitLab", is_unavailable=True)

    assert world.runner.run(job.id, STEP).action is NextAction.LATER

    step = world.step(job, STEP)
    assert (step.state, step.reason) == (StepState.RETRYING, "GitLab answered 503")
    assert _held(world) is None
    assert world.db.read(lambda session: outages.read(session)[GITLAB].failures) == 1


# -- the end ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("ask")
def test_a_step_that_waits_for_a_week_has_failed(world: World, new_name: NewName, time: Time) -> None:
    waiting, retried = _sign_ups(world, new_name, 2)
    _refuse(world)
    world.runner.run(retried.id, STEP)
    world.runner.run(waiting.id, STEP)
    time.advance(7 * DAY_S - 60)
    dispatch.send_long_held(world.db)
    assert [lane for lane in dispatch.take_due(world.db, limit=100) if STEP in lane.steps] == []

    time.advance(120)
    dispatch.send_long_held(world.db)
    for lane in dispatch.take_due(world.db, limit=100):
        world.runner.run(lane.job_id, lane.steps[0])

    assert _states(world, (waiting, retried)) == {StepState.FAILED}
    step = world.step(waiting, STEP)
    assert (step.code, step.reason) == ("refused", "GitLab refuses Slipway's account. Gave up after 7 days.")
    assert step.remedy


def _states(world: World, jobs: tuple[Job, ...]) -> set[StepState]:
    return {world.step(job, STEP).state for job in jobs}


def test_an_outage_ends_after_a_week_too(world: World, new_name: NewName, time: Time) -> None:
    (job,) = _sign_ups(world, new_name, 1)
    outages.record_unavailable(world.db, GITLAB, "503", time(), enough=1)
    (due,) = world.db.read(lambda session: outages.due_probes(session, time()))
    assert outages.mark_down(world.db, due, "503", time())
    world.runner.run(job.id, STEP)

    time.advance(7 * DAY_S)
    dispatch.send_long_held(world.db)
    for lane in dispatch.take_due(world.db, limit=100):
        world.runner.run(lane.job_id, lane.steps[0])

    step = world.step(job, STEP)
    assert (step.state, step.code) == (StepState.FAILED, "outage")
    assert step.reason == "GitLab is not answering. Gave up after 7 days."


def test_a_pause_has_no_end_of_its_own(world: World, new_name: NewName, time: Time) -> None:
    (job,) = _sign_ups(world, new_name, 1)
    outages.pause(world.db, GITLAB, by="chief", reason="Moved.", now=time())
    world.runner.run(job.id, STEP)

    time.advance(30 * DAY_S)
    dispatch.send_long_held(world.db)

    assert world.step(job, STEP).nudge_at is None


@pytest.mark.usefixtures("ask")
def test_a_hold_that_every_check_contradicts_ends_with_the_step_after_a_week(world: World, new_name: NewName) -> None:
    """The trial is refused in general each time, and the checks find nothing: it goes on for a week, not for ever."""
    (job,) = _sign_ups(world, new_name, 1)
    _refuse(world)
    probe = probe_with(world, Good())
    began = world.time()

    for _ in range(40):
        if world.step(job, STEP).state is StepState.FAILED:
            break
        world.time.advance(DAY_S / 4)
        probe.run()
        for lane in world.due():
            if lane.steps[0] == STEP:
                world.runner.run(lane.job_id, STEP)

    waited_s = (world.time() - began).total_seconds()
    assert world.step(job, STEP).state is StepState.FAILED
    assert 7 * DAY_S <= waited_s <= 8 * DAY_S


@pytest.mark.usefixtures("ask")
def test_an_administrator_ends_a_hold_by_hand(world: World, new_name: NewName) -> None:
    (job,) = _sign_ups(world, new_name, 1)
    _refuse(world)
    world.runner.run(job.id, STEP)
    world.harbour.clear_faults()

    outages.resume(world.db, GITLAB, world.time())

    assert _held(world) is None
    assert [lane.job_id for lane in _parked(world)] == [job.id]
    assert world.runner.run(job.id, STEP).action is NextAction.GO_ON


@pytest.mark.usefixtures("ask")
def test_what_a_person_retries_after_a_week_waits_anew(world: World, new_name: NewName, time: Time) -> None:
    job = world.make_app(new_name("app"))
    first, other = "fork_source", "fork_helm"
    _refuse(world)
    for wait_s in (7 * DAY_S, 0):
        world.runner.run(job.id, first)
        world.runner.run(job.id, other)
        time.advance(wait_s)
    assert (world.step(job, first).state, world.step(job, first).code) == (StepState.FAILED, "refused")

    world.db.transaction(lambda session: interventions.retry(session, job.id, time()))
    outages.resume(world.db, GITLAB, time())
    claim = attempts.claim(world.db, job.id, first, worker="w", limits=world.limits)

    assert isinstance(claim, Claim)
    assert outcomes.refused_before(world.db, claim).since is None

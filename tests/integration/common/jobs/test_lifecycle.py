"""The life of a job: what acceptance writes, whose turn comes next, and how the job ends."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session
from support.world import UNCHECKED_SIGNUP, World

from common import horizons
from common.database.models import Event, Job, Step
from common.jobs import attempts, interventions, lane_messages, lifecycle, outcomes
from common.jobs.claims import Claim
from common.jobs.lane_messages import LaneMessage
from common.states import JobState, StepState
from common.telemetry.metrics import ATTEMPTS_LOST, JOBS_FINISHED
from common.workflows import PROVISION, SIGNUP, Upstream

NewName = Callable[[str], str]


def _claim(world: World, job: Job, step: str) -> Claim:
    claim = attempts.claim(world.db, job.id, step, worker="w", limits={})
    assert isinstance(claim, Claim), claim
    return claim


def _succeed(world: World, job: Job, *steps: str) -> None:
    for step in steps:
        outcomes.record_success(world.db, _claim(world, job, step), {})


def _fail(world: World, job: Job, step: str) -> None:
    outcomes.record_failure(world.db, _claim(world, job, step), code="c", reason="r")


def _events(world: World, job: Job) -> list[Event]:
    of_job = select(Event).where(Event.job_id == job.id).order_by(Event.number)
    return list(world.db.read(lambda session: session.scalars(of_job).all()))


def _finished(kind: str, state: str) -> float:
    return JOBS_FINISHED.labels(kind, state)._value.get()  # noqa: SLF001 - the library has no other way


@pytest.fixture
def signup(world: World, new_name: NewName) -> Job:
    return world.sign_up(new_name("ada"))


# -- acceptance ---------------------------------------------------------------------------------------------------


def test_the_plan_is_written_in_order_and_each_lane_has_one_step_whose_turn_it_is(world: World, signup: Job) -> None:
    steps = world.step_rows(signup)

    assert [(step.lane, step.name) for step in steps] == [
        (lane.name, step.name) for lane in UNCHECKED_SIGNUP.lanes for step in lane.steps
    ]
    assert [step.position for step in steps] == list(range(len(steps)))
    assert {step.name for step in steps if step.state is StepState.READY} == {
        lane.steps[0].name for lane in UNCHECKED_SIGNUP.lanes
    }
    assert {step.state for step in steps} == {StepState.READY, StepState.PENDING}
    assert [step.needs_secret for step in steps] == [
        step.secret for lane in UNCHECKED_SIGNUP.lanes for step in lane.steps
    ]


def test_a_ready_step_is_due_at_once_and_sent_again_if_its_message_is_lost(world: World, signup: Job) -> None:
    step = world.step(signup, "create_gitlab_user")

    assert (step.due_at, step.nudge_at) == (world.time(), world.time() + timedelta(seconds=lifecycle.RESEND_S))


def test_a_job_begins_with_version_one_and_its_event(world: World, signup: Job) -> None:
    (event,) = _events(world, signup)

    assert (event.number, event.at, event.state) == (1, world.time(), JobState.QUEUED)
    assert {each["name"] for each in event.steps} == {lane.steps[0].name for lane in UNCHECKED_SIGNUP.lanes}


# -- turns --------------------------------------------------------------------------------------------------------


def test_a_success_gives_the_next_step_of_its_lane_its_turn_and_no_other(world: World, signup: Job) -> None:
    world.time.advance(1)
    _succeed(world, signup, "create_jenkins_user")

    states = {step.name: step.state for step in world.step_rows(signup)}
    assert [name for name, state in states.items() if state is StepState.READY] == [
        "create_gitlab_user", "assign_jenkins_role", "create_kibana_user"
    ]  # fmt: skip
    assert world.step(signup, "assign_jenkins_role").due_at == world.time()


def test_the_last_step_of_a_lane_gives_the_first_one_of_the_next_lane_no_turn(world: World, signup: Job) -> None:
    _fail(world, signup, "create_jenkins_user")
    _succeed(world, signup, "create_gitlab_user", "join_gitlab_group")

    assert world.step(signup, "create_jenkins_user").state is StepState.FAILED
    assert world.step(signup, "assign_jenkins_role").state is StepState.PENDING


# -- the end ------------------------------------------------------------------------------------------------------


def test_a_job_ends_once_when_its_last_step_does(world: World, signup: Job) -> None:
    before = _finished("signup", "succeeded")
    _succeed(world, signup, "create_gitlab_user", "join_gitlab_group", "create_jenkins_user", "assign_jenkins_role")
    assert (world.job(signup).state, world.job(signup).finished_at) == (JobState.RUNNING, None)
    world.time.advance(1)

    _succeed(world, signup, "create_kibana_user")

    job = world.job(signup)
    assert (job.state, job.finished_at, job.updated_at) == (JobState.SUCCEEDED, world.time(), world.time())
    assert _finished("signup", "succeeded") - before == 1
    assert _events(world, signup)[-1].number == job.version
    assert _events(world, signup)[-1].state is JobState.SUCCEEDED


@pytest.mark.parametrize("failing", ["create_gitlab_user", "create_kibana_user"])
def test_one_failed_step_fails_the_job_when_all_others_have_ended(world: World, signup: Job, failing: str) -> None:
    before = _finished("signup", "failed")
    _fail(world, signup, failing)
    others = [["create_gitlab_user", "join_gitlab_group"], ["create_jenkins_user", "assign_jenkins_role"]]
    for lane in [*others, ["create_kibana_user"]]:
        if failing not in lane:
            assert world.job(signup).state is JobState.RUNNING
            _succeed(world, signup, *lane)

    assert world.job(signup).state is JobState.FAILED
    assert _finished("signup", "failed") - before == 1


def test_what_failed_before_a_cancellation_does_not_count_and_what_could_not_be_stopped_does(
    world: World, new_name: NewName
) -> None:
    failed_before = world.make_app(new_name("app"))
    _fail(world, failed_before, PROVISION.lanes[0].steps[0].name)
    build = world.accept_for(failed_before, "build")
    _claim(world, build, "start_build")

    for job in (failed_before, build):
        world.db.transaction(lambda session, job=job: interventions.cancel(session, job.id, world.time()))
    (last,) = [step.name for step in world.step_rows(build) if step.lane == lifecycle.CANCEL_LANE]
    _fail(world, build, last)

    assert [world.job(each).state for each in (failed_before, build)] == [JobState.CANCELLED, JobState.FAILED]


@pytest.mark.parametrize("ahead_s", [horizons.SKEW_S, horizons.SKEW_S + 0.001])
def test_a_job_of_the_future_is_one_that_changed_later_than_clocks_differ(
    world: World, signup: Job, ahead_s: float
) -> None:
    now = signup.updated_at - timedelta(seconds=ahead_s)

    assert lifecycle.is_of_the_future(world.job(signup), now) is (ahead_s > horizons.SKEW_S)


def test_a_lost_attempt_is_counted_when_its_step_is_claimed_again(world: World, signup: Job) -> None:
    counter = ATTEMPTS_LOST.labels("signup.create_kibana_user")._value  # noqa: SLF001 - as above
    before = counter.get()
    _claim(world, signup, "create_kibana_user")
    assert counter.get() == before
    world.time.advance(8)

    _claim(world, signup, "create_kibana_user")

    assert counter.get() - before == 1


# -- messages -----------------------------------------------------------------------------------------------------


def _lanes(messages: list[LaneMessage]) -> set[tuple[str, ...]]:
    return {message.steps for message in messages}


def test_a_new_job_is_sent_as_all_its_lanes(signup: Job) -> None:
    messages = lane_messages.of_new_job(signup)

    assert _lanes(messages) == {tuple(step.name for step in lane.steps) for lane in SIGNUP.lanes}
    assert [[(task.name, task.job_id, task.queue) for task in each.tasks] for each in messages][1] == [
        ("signup.check_jenkins_name", signup.id, "jenkins"),
        ("signup.create_jenkins_user", signup.id, "jenkins"),
        ("signup.assign_jenkins_role", signup.id, "jenkins"),
    ]


def test_a_step_that_another_version_declares_goes_by_our_own_queue(signup: Job) -> None:
    message = LaneMessage(job_id=signup.id, kind="signup", steps=("make_coffee",))

    assert [task.queue for task in message.tasks] == [Upstream.SLIPWAY.value]


def test_the_rest_of_a_lane_is_sent_from_the_given_step_on_for_each_job(
    world: World, signup: Job, new_name: NewName
) -> None:
    other = world.sign_up(new_name("ada"))
    ids = [world.step(signup, "assign_jenkins_role").id, world.step(other, "create_jenkins_user").id]

    messages = world.db.read(lambda session: lane_messages.from_steps(session, ids))

    assert {each.job_id: each.steps for each in messages} == {
        signup.id: ("assign_jenkins_role",), other.id: ("create_jenkins_user", "assign_jenkins_role")
    }  # fmt: skip
    assert world.db.read(lambda session: lane_messages.from_steps(session, [])) == []


def test_a_resumed_job_is_sent_from_its_ready_steps_on_and_one_that_is_over_not_at_all(
    world: World, signup: Job
) -> None:
    def resumed(session: Session) -> list[LaneMessage]:
        return lane_messages.of_resumed_job(session, signup)

    _succeed(world, signup, "create_jenkins_user", "create_kibana_user")
    assert _lanes(world.db.read(resumed)) == {("create_gitlab_user", "join_gitlab_group"), ("assign_jenkins_role",)}
    ids = [step.id for step in world.step_rows(signup)]
    world.db.transaction(lambda session: interventions.cancel(session, signup.id, world.time()))

    assert world.db.read(resumed) == []
    assert world.db.read(lambda session: lane_messages.from_steps(session, ids)) == []
    assert world.db.read(lambda session: session.get_one(Step, ids[0])).state is StepState.CANCELLED

"""One job, one build: whatever breaks between us and Jenkins. And a build that fails, is read, is cancelled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from random import Random
from threading import Barrier

import pytest
from support.builds import Plant, pace, paced
from support.faults import Killed, Mishap, die
from support.runs import runs
from support.world import World

from common.database.models import Job
from common.jobs.interventions import NotPossibleError
from common.plain_text import harmless
from common.states import JobState, StepState
from harbour.faults import Fault
from harbour.jenkins import properties, xml
from harbour.jenkins.model import LEFT_ITEM_KEPT_S
from worker.runner import NextAction

pytestmark = pytest.mark.one_database

DELIVERIES = 20
TRIGGER = "buildWithParameters"
HALF_AN_HOUR_S = 1800.0


@pytest.fixture
def plant(world: World, new_name: Callable[[str], str]) -> Iterator[Plant]:
    with paced(world.harbour.jenkins):
        yield Plant(world, new_name("shop"))


# -- exactly once -------------------------------------------------------------------------------------------------


def _trigger_fails(kind: str, status: int = 503) -> Callable[[Plant, Job, Random], None]:
    def break_trigger(plant: Plant, _job: Job, random: Random) -> None:
        fault = Fault(kind=kind, method="POST", path=TRIGGER, status=status, times=random.choice((1, 2, 6)))
        plant.jenkins.inject(fault)

    return break_trigger


def _any_reply_is_lost(plant: Plant, _job: Job, random: Random) -> None:
    plant.jenkins.inject(Fault(kind="lost", times=1, skip=random.randrange(12)))


def _workers_die(plant: Plant, job: Job, random: Random) -> None:
    world, healthy = plant.world, plant.world.runner
    for _ in range(random.randint(1, 3)):
        world.runner = plant.runner_with(Mishap(random.randrange(12), die, is_after=random.random() < 0.5))
        with suppress(Killed):
            world.drive(job)
    world.runner = healthy


def _a_worker_sleeps_through_its_lease(plant: Plant, job: Job, random: Random) -> None:
    """It wakes up when another one has done the work, and goes on where it was."""
    asleep_at = random.randrange(3)  # calls that read: the fence is behind them
    runner = plant.runner_with(Mishap(asleep_at, lambda: _others_do_the_work(plant, job)))
    result = runner.run(job.id, "start_build")
    assert result.action is NextAction.NOT_OURS


def _others_do_the_work(plant: Plant, job: Job) -> None:
    plant.world.drive(job)


def _queue_item_expires(plant: Plant, job: Job, _random: Random) -> None:
    plant.world.drive(job, until="await_executor")
    plant.world.time.advance(plant.jenkins.config.queue_s + plant.jenkins.config.build_s + LEFT_ITEM_KEPT_S + 10)


def _delivered_often(plant: Plant, job: Job, _random: Random) -> None:
    together = Barrier(DELIVERIES)

    def deliver(number: int) -> NextAction:
        runner = plant.world.runner_named(f"worker-{number}")
        together.wait()
        return runner.run(job.id, "start_build").action

    with ThreadPoolExecutor(DELIVERIES) as pool:
        verdicts = list(pool.map(deliver, range(DELIVERIES)))
    assert set(verdicts) <= {NextAction.GO_ON, NextAction.LATER, NextAction.NOT_OURS}


def _jenkins_is_away(plant: Plant, job: Job, random: Random) -> None:
    step = random.choice(("start_build", "await_executor", "await_result"))
    plant.world.drive(job, until=step)
    plant.jenkins.inject(random.choice((Fault(kind="reset"), Fault(kind="status", status=503))))
    for _ in range(random.randint(1, 6)):
        assert plant.try_once(job, step).action is NextAction.LATER
    plant.jenkins.clear_faults()


TROUBLES: dict[str, Callable[[Plant, Job, Random], None]] = {
    "the trigger's reply is lost": _trigger_fails("lost"),
    "the trigger is reset before its effect": _trigger_fails("reset"),
    "502 before the trigger's effect": _trigger_fails("status", 502),
    "502 after the trigger's effect": _trigger_fails("status_after", 502),
    "any reply is lost": _any_reply_is_lost,
    "workers die": _workers_die,
    "a worker sleeps through its lease": _a_worker_sleeps_through_its_lease,
    "the queue item expires": _queue_item_expires,
    "20 deliveries at once": _delivered_often,
    "Jenkins is away": _jenkins_is_away,
}


def _set_the_pace(plant: Plant, random: Random) -> None:
    for moment in ("pending_s", "starting_s", "attaching_s"):
        setattr(plant.jenkins, moment, random.choice((0.01, 0.5, 3.0)))
    pace(plant.jenkins, queue_s=random.choice((0.1, 3.0, 45.0)), build_s=random.choice((0.5, 20.0, 400.0)))
    if random.random() < 0.5:
        plant.start_by_hand()


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_job_is_built_exactly_once(plant: Plant, trouble: str) -> None:
    place = list(TROUBLES).index(trouble)
    for seed in range(place, runs(20), len(TROUBLES)):
        random = Random(seed)
        _set_the_pace(plant, random)
        job = plant.accept()
        TROUBLES[trouble](plant, job, random)

        ended = plant.world.drive(job)
        plant.jenkins.clear_faults()
        plant.world.time.advance(HALF_AN_HOUR_S)  # whatever else was queued has been built by now

        reasons = [(step.name, step.state, step.reason) for step in plant.world.step_rows(job)]
        assert plant.started(job) == 1, f"seed {seed}: {reasons}"
        assert ended.state is JobState.SUCCEEDED, f"seed {seed}: {reasons}"
        number = plant.builds(job)[0].number
        assert (plant.world.step(job, "await_result").output or {})["number"] == number, f"seed {seed}"
        assert plant.kept_console(job) == plant.console(number), f"seed {seed}"


def test_builds_of_an_app_run_one_after_another(plant: Plant) -> None:
    """Of whatever is pushed while one runs, the next one is built: it begins, and checks out, when that has ended."""
    pace(plant.jenkins, build_s=100.0)
    first = plant.accept()
    plant.world.drive(first, until="await_result")
    second = plant.accept()

    for _ in range(3):
        assert plant.try_once(second, "start_build").action is NextAction.LATER
    assert plant.started(second) == 0
    assert "Another build of this app is running" in str(plant.world.step(second, "start_build").reason)

    assert plant.world.drive(first).state is JobState.SUCCEEDED
    assert plant.world.drive(second).state is JobState.SUCCEEDED
    assert (plant.started(first), plant.started(second)) == (1, 1)


# -- a build that does not succeed --------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", ["FAILURE", "UNSTABLE", "ABORTED", "NOT_BUILT"])
def test_a_build_that_fails_is_a_failed_job_with_the_result_and_the_last_lines(plant: Plant, outcome: str) -> None:
    pace(plant.jenkins, build_s=HALF_AN_HOUR_S)
    plant.jenkins.outcomes[plant.pipeline] = [outcome]
    job = plant.accept()

    assert plant.world.drive(job).state is JobState.FAILED

    step = plant.world.step(job, "await_result")
    console = plant.console(plant.builds(job)[0].number)
    assert (step.state, step.code) == (StepState.FAILED, "rejected")
    assert step.reason is not None
    assert f"ended as {outcome}" in step.reason
    assert console.rstrip().endswith(f"Finished: {outcome}")
    assert harmless(console)[-500:] in step.reason
    assert plant.kept_console(job) == console


def test_the_console_can_be_read_while_the_build_runs(plant: Plant) -> None:
    pace(plant.jenkins, build_s=100.0)
    job = plant.accept()
    plant.world.drive(job, until="await_result")
    lengths = []
    for _ in range(20):
        assert plant.try_once(job, "await_result").action is NextAction.LATER
        kept, shown = plant.kept_console(job), plant.console(plant.builds(job)[0].number)
        assert shown.startswith(kept)
        lengths.append(len(kept))

    assert lengths == sorted(lengths)
    assert len(set(lengths)) > 5


def test_a_build_that_was_taken_out_of_the_queue_by_hand_fails_the_job(plant: Plant) -> None:
    plant.jenkins.executors = 0
    job = plant.accept()
    plant.world.drive(job, until="await_executor")
    queue_id = (plant.world.step(job, "start_build").output or {})["queue_id"]
    plant.world.clients.jenkins.builds.cancel_queue_item(queue_id)

    assert plant.world.drive(job).state is JobState.FAILED

    assert plant.world.step(job, "await_executor").reason == "The build was cancelled in Jenkins' queue."


# -- cancelled ----------------------------------------------------------------------------------------------------


def _let_jenkins_work(plant: Plant) -> None:
    plant.jenkins.clear_faults()
    plant.jenkins.executors = 2
    plant.world.time.advance(HALF_AN_HOUR_S)


def test_a_job_that_has_not_begun_is_cancelled_at_once(plant: Plant) -> None:
    job = plant.accept()

    assert plant.cancel(job).state is JobState.CANCELLED

    assert plant.world.due() == []
    assert plant.started(job) == 0


def test_a_build_in_the_queue_is_taken_out(plant: Plant) -> None:
    plant.jenkins.executors = 0
    job = plant.accept()
    plant.world.drive(job, until="await_executor")
    assert plant.queued(job) == 1

    plant.cancel(job)

    assert plant.world.drive(job).state is JobState.CANCELLED
    _let_jenkins_work(plant)
    assert plant.started(job) == 0


def test_a_running_build_is_stopped(plant: Plant) -> None:
    pace(plant.jenkins, build_s=HALF_AN_HOUR_S)
    job = plant.accept()
    plant.world.drive(job, until="await_result")
    assert plant.is_building(job)

    plant.cancel(job)

    assert plant.world.drive(job).state is JobState.CANCELLED
    assert [build.outcome for build in plant.builds(job)] == ["ABORTED"]
    assert not plant.is_building(job)


@pytest.mark.parametrize("kind", ["lost", "reset"])
def test_a_trigger_whose_outcome_is_unknown_is_waited_out(plant: Plant, kind: str) -> None:
    pace(plant.jenkins, build_s=HALF_AN_HOUR_S)
    job = plant.accept()
    plant.jenkins.inject(Fault(kind=kind, method="POST", path=TRIGGER, times=1))
    plant.try_once(job, "start_build")

    plant.cancel(job)

    assert plant.world.drive(job).state is JobState.CANCELLED
    _let_jenkins_work(plant)
    assert {build.outcome for build in plant.builds(job)} <= {"ABORTED"}
    assert plant.queued(job) == 0


def test_a_build_that_is_triggered_just_when_the_job_is_cancelled_is_stopped(plant: Plant) -> None:
    """The worker is past the fence: its request is on the way while the job is cancelled and its build is stopped."""
    pace(plant.jenkins, build_s=HALF_AN_HOUR_S)
    job = plant.accept()

    def cancel_and_look() -> None:
        plant.cancel(job)
        assert plant.try_once(job, "stop_build").action is NextAction.LATER

    assert plant.runner_with(Mishap(3, cancel_and_look)).run(job.id, "start_build").action is NextAction.NOT_OURS
    assert plant.started(job) == 1

    assert plant.world.drive(job).state is JobState.CANCELLED
    assert not plant.is_building(job)
    assert plant.queued(job) == 0


def test_cancelling_twice_is_cancelling_once(plant: Plant) -> None:
    pace(plant.jenkins, build_s=HALF_AN_HOUR_S)
    job = plant.accept()
    plant.world.drive(job, until="await_result")

    plant.cancel(job)
    plant.cancel(job)

    assert [step.name for step in plant.world.step_rows(job)].count("stop_build") == 1
    assert plant.world.drive(job).state is JobState.CANCELLED
    with pytest.raises(NotPossibleError, match="over"):
        plant.cancel(job)
    assert plant.jenkins.calls[-1].method == "GET"
    assert [call.path for call in plant.jenkins.writes() if call.path.startswith(plant.path)][-1].endswith("/stop")


def test_a_build_is_stopped_as_soon_as_jenkins_is_back(plant: Plant) -> None:
    pace(plant.jenkins, build_s=HALF_AN_HOUR_S)
    job = plant.accept()
    plant.world.drive(job, until="await_result")
    plant.cancel(job)
    plant.jenkins.inject(Fault(kind="reset"))
    for _ in range(6):
        assert plant.try_once(job, "stop_build").action is NextAction.LATER
    assert plant.world.job(job).state is JobState.CANCELLING
    plant.jenkins.clear_faults()

    assert plant.world.drive(job).state is JobState.CANCELLED

    assert [build.outcome for build in plant.builds(job)] == ["ABORTED"]


@pytest.mark.parametrize(("deafness", "last"), [("ignoring_stop", "term"), ("unstoppable", "kill")])
def test_a_build_that_ignores_a_stop_is_terminated_then_killed(plant: Plant, deafness: str, last: str) -> None:
    pace(plant.jenkins, build_s=HALF_AN_HOUR_S)
    job = plant.accept()
    plant.world.drive(job, until="await_result")
    getattr(plant.jenkins, deafness).add(plant.pipeline)
    first_write = len(plant.jenkins.writes())
    plant.cancel(job)

    assert plant.world.drive(job).state is JobState.CANCELLED

    verbs = [call.path.rpartition("/")[2] for call in plant.jenkins.writes()[first_write:]]
    assert list(dict.fromkeys(verbs)) == ["stop", "term", "kill"][: ["stop", "term", "kill"].index(last) + 1]
    assert verbs.count("stop") >= 2
    assert [build.outcome for build in plant.builds(job)] == ["ABORTED"]


def test_a_build_that_cannot_be_stopped_is_told(plant: Plant) -> None:
    pace(plant.jenkins, build_s=HALF_AN_HOUR_S)
    job = plant.accept()
    plant.world.drive(job, until="await_result")
    plant.jenkins.unstoppable.add(plant.pipeline)
    plant.jenkins.inject(Fault(kind="status", path="/1/kill", status=302))
    plant.cancel(job)

    assert plant.world.drive(job).state is JobState.FAILED

    reason = plant.world.step(job, "stop_build").reason
    assert reason == "Build 1 is stopping: it is killed. Gave up waiting after 300 s."


SCRIPTED = [xml.Parameter(kind=xml.STRING, name="colour", default="red", description="")]
DECLARED = [xml.Parameter(kind=xml.CHOICE, name="branch", default="", description="", choices=("next", "old"))]


@pytest.mark.parametrize(
    "run",
    [lambda held: properties.set_by_step(held, SCRIPTED), lambda held: properties.declared_by_pipeline(held, DECLARED)],
    ids=["properties([parameters])", "parameters { choice(name: 'branch') }"],
)
def test_a_jenkinsfile_that_takes_our_parameters_does_not_end_building(plant: Plant, run: Callable[[str], str]) -> None:
    items = plant.jenkins.items
    for _ in range(2):
        job = plant.world.accept_build(plant.made, branch="main")
        assert plant.world.drive(job).state is JobState.SUCCEEDED
        assert [build.parameter("branch") for build in plant.builds(job)] == ["main"]
        items[plant.pipeline] = run(items[plant.pipeline])


def test_a_build_that_ended_before_it_was_stopped_leaves_the_job_cancelled(plant: Plant) -> None:
    job = plant.accept()
    plant.world.drive(job, until="await_result")
    plant.world.time.advance(HALF_AN_HOUR_S)

    plant.cancel(job)

    assert plant.world.drive(job).state is JobState.CANCELLED
    assert [build.outcome for build in plant.builds(job)] == ["SUCCESS"]

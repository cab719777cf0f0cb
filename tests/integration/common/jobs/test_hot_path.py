"""What a step costs: counted exactly, so that no statement, commit or event is added unnoticed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pytest
from sqlalchemy import event, select
from sqlalchemy.orm import Session
from support.world import World

from common import workflows
from common.admission import outages, slots
from common.admission.outages import Hold
from common.database import engine
from common.database.ids import new_id
from common.database.models import Event, Job
from common.database.repeats import CommitUnknownError
from common.errors import Conflict, NotYet
from common.jobs import attempts, dispatch, lifecycle, outcomes
from common.jobs.claims import Claim
from common.jobs.hot_path import Onward
from common.jobs.lane_messages import LaneMessage, TaskMessage
from common.states import JobState, StepState
from common.workflows import PATIENT, Lane, StepPlan, Upstream, Workflow
from worker.lane import LaneRest
from worker.runner import NextAction

STEPS = 4
CREATIONS = ("create_gitlab_user", "create_jenkins_user", "create_kibana_user")


@dataclass
class Counted:
    """What was sent to the database meanwhile, apart from the beginnings of transactions."""

    statements: list[str] = field(default_factory=list)
    commits: int = 0

    @property
    def shapes(self) -> list[str]:
        """Each statement as its verb and its table."""
        words = [statement.split() for statement in self.statements]
        return [f"{each[0]} {each[each.index(AFTER[each[0]]) + 1]}" for each in words]


AFTER = {"SELECT": "FROM", "UPDATE": "UPDATE", "INSERT": "INTO"}


@contextmanager
def counting(world: World) -> Iterator[Counted]:
    counted = Counted()

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if not statement.startswith("BEGIN"):
            counted.statements.append(statement)

    def commit(_connection: object) -> None:
        counted.commits += 1

    for name, hear in (("before_cursor_execute", note), ("commit", commit)):
        event.listen(world.db.engine, name, hear)
    try:
        yield counted
    finally:
        for name, hear in (("before_cursor_execute", note), ("commit", commit)):
            event.remove(world.db.engine, name, hear)


def _job_of(world: World, monkeypatch: pytest.MonkeyPatch, upstream: Upstream, count: int = STEPS) -> Job:
    """Accept a job of one lane whose steps do nothing."""
    names = [f"step_{number}" for number in range(count)]
    plans = tuple(StepPlan(name=name, upstream=upstream, retry=PATIENT, repeat="does nothing") for name in names)
    flow = Workflow(name="idle", title="Idle", lanes=(Lane(name="only", steps=plans),))
    monkeypatch.setitem(workflows.WORKFLOWS, flow.name, flow)
    for name in names:
        monkeypatch.setitem(world.steps, f"idle.{name}", lambda _context, _upstreams: {"is_done": True})
    user = world.add_user(f"idle-{new_id()}"[:40])
    return world.db.transaction(
        lambda session: lifecycle.accept(
            session,
            flow,
            now=world.time(),
            subject_id=user.id,
            team_id="dev",
            user_id=user.id,
            request_id="test-request",
            inputs={},
        )
    )


def test_a_step_that_uses_no_upstream_takes_two_transactions_of_at_most_six_statements(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = _job_of(world, monkeypatch, Upstream.SLIPWAY, 1)

    with counting(world) as counted:
        world.runner.run(job.id, "step_0")

    assert counted.shapes == [
        *("SELECT jobs", "UPDATE steps", "INSERT attempts", "UPDATE jobs", "INSERT events"),
        *("SELECT jobs", "UPDATE steps", "UPDATE attempts", "UPDATE jobs", "INSERT events"),
    ]
    assert counted.commits == 2
    assert world.job(job).state is JobState.SUCCEEDED


def test_a_step_of_an_upstream_asks_once_whether_it_is_open_and_takes_a_slot(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = _job_of(world, monkeypatch, Upstream.GITLAB, 1)

    with counting(world) as counted:
        world.runner.run(job.id, "step_0")

    assert counted.shapes == [
        *("SELECT jobs", "SELECT upstreams", "SELECT slots", "UPDATE slots"),
        *("UPDATE steps", "INSERT attempts", "UPDATE jobs", "INSERT events"),
        *("SELECT jobs", "UPDATE steps", "UPDATE slots", "UPDATE attempts", "UPDATE jobs", "INSERT events"),
    ]


# -- a lane -------------------------------------------------------------------------------------------------------


def _message(job: Job, count: int = STEPS) -> LaneMessage:
    return LaneMessage(job_id=job.id, kind=job.kind, steps=tuple(f"step_{number}" for number in range(count)))


def _run_lane(world: World, lane: LaneMessage, takes: Callable[[TaskMessage], bool] = lambda _task: True) -> LaneRest:
    """Run a lane as a worker does that has taken its message; return what it hands on."""
    rest = LaneRest(lane, takes)
    step = rest.next_step()
    assert step is not None
    world.runner.run(lane.job_id, step, rest)
    return rest


def _states(world: World, job: Job) -> list[str]:
    return [step.state.value for step in world.step_rows(job)]


def test_a_lane_of_k_steps_takes_one_message_and_k_plus_1_transactions_of_six_statements_each_with_one_event(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = _job_of(world, monkeypatch, Upstream.SLIPWAY)

    with counting(world) as counted:
        rest = _run_lane(world, _message(job))

    assert world.job(job).state is JobState.SUCCEEDED
    assert rest.message.steps == ()
    assert counted.commits == STEPS + 1
    assert counted.shapes == [
        *("SELECT jobs", "UPDATE steps", "INSERT attempts", "UPDATE jobs", "INSERT events"),
        *("SELECT jobs", "UPDATE steps", "INSERT attempts", "UPDATE attempts", "UPDATE jobs", "INSERT events") * 3,
        *("SELECT jobs", "UPDATE steps", "UPDATE attempts", "UPDATE jobs", "INSERT events"),
    ]
    events = world.db.read(lambda session: session.scalars(select(Event).where(Event.job_id == job.id)).all())
    assert [each.number for each in events] == list(range(1, STEPS + 3))  # the first is of its acceptance
    assert [(each["name"], each["state"]) for each in events[2].steps] == [
        ("step_0", "succeeded"), ("step_1", "running")
    ]  # fmt: skip


def test_a_slot_goes_on_with_its_lane_which_saves_two_statements(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    job = _job_of(world, monkeypatch, Upstream.GITLAB)

    with counting(world) as counted:
        _run_lane(world, _message(job))

    assert world.job(job).state is JobState.SUCCEEDED
    assert counted.commits == STEPS + 1
    assert counted.shapes[8:16] == [
        *("SELECT jobs", "SELECT upstreams", "UPDATE slots"),
        *("UPDATE steps", "INSERT attempts", "UPDATE attempts", "UPDATE jobs", "INSERT events"),
    ]
    assert world.db.read(lambda session: slots.in_use(session, world.time())) == {}


def test_a_lane_keeps_its_slot_to_its_end_and_then_those_that_are_parked_go_first(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, parked, late = (_job_of(world, monkeypatch, Upstream.GITLAB) for _ in range(3))
    one = {**world.limits, Upstream.GITLAB: replace(world.limits[Upstream.GITLAB], at_once=1)}
    monkeypatch.setattr(world.runner, "_limits", one)
    arriving = iter([parked])

    def let_another_arrive(_context: object, _upstreams: object) -> dict[str, object]:
        for other in arriving:
            assert isinstance(attempts.claim(world.db, other.id, "step_0", worker="w", limits=one), Hold)
        return {}

    for step in ("step_0", "step_2"):
        monkeypatch.setitem(world.steps, f"idle.{step}", let_another_arrive)
    _run_lane(world, _message(job))

    assert world.job(job).state is JobState.SUCCEEDED
    assert isinstance(attempts.claim(world.db, late.id, "step_0", worker="w", limits=one), Hold)  # it queues behind
    (sent,) = dispatch.take_parked(world.db, one)
    assert sent.job_id == parked.id


def test_a_lane_gives_its_slot_up_when_its_upstream_is_paused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    job = _job_of(world, monkeypatch, Upstream.GITLAB)

    def pause(_context: object, _upstreams: object) -> dict[str, object]:
        outages.pause(world.db, Upstream.GITLAB, by="t", reason="r", now=world.time())
        return {}

    monkeypatch.setitem(world.steps, "idle.step_1", pause)
    rest = _run_lane(world, _message(job))

    assert rest.message.steps == ("step_2", "step_3")
    assert _states(world, job) == ["succeeded", "succeeded", "ready", "pending"]
    assert world.db.read(lambda session: slots.in_use(session, world.time())) == {}


def test_a_step_that_this_worker_may_not_begin_is_ready_for_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = _job_of(world, monkeypatch, Upstream.SLIPWAY)

    rest = _run_lane(world, _message(job), lambda task: task.name != "idle.step_2")

    assert rest.message.steps == ("step_2", "step_3")
    assert _states(world, job) == ["succeeded", "succeeded", "ready", "pending"]
    assert [len(world.attempts(job, step)) for step in ("step_1", "step_2")] == [1, 0]


@pytest.mark.parametrize("error", [NotYet("later", retry_after_s=1), Conflict("taken"), ValueError("a fault")])
def test_a_lane_ends_at_the_first_step_that_does_not_succeed(
    world: World, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    job = _job_of(world, monkeypatch, Upstream.SLIPWAY)

    def fail(_context: object, _upstreams: object) -> dict[str, object]:
        raise error

    monkeypatch.setitem(world.steps, "idle.step_1", fail)
    rest = _run_lane(world, _message(job))

    assert rest.message.steps == ("step_2", "step_3")
    assert _states(world, job) == ["succeeded", "failed", "pending", "pending"]


def test_a_message_that_came_twice_ends_at_its_first_step_that_is_done(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = _job_of(world, monkeypatch, Upstream.SLIPWAY)
    _run_lane(world, _message(job), lambda task: task.name == "idle.step_0")

    with counting(world) as counted:
        result = world.runner.run(job.id, "step_0", LaneRest(_message(job), lambda _task: True))

    assert result.action is NextAction.NOT_OURS
    assert counted.commits == 1
    assert _states(world, job)[1] == "ready"


def test_each_step_of_a_lane_keeps_its_own_lease_and_its_own_telemetry(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    job, kept = _job_of(world, monkeypatch, Upstream.SLIPWAY), []

    @contextmanager
    def keep(claim: Claim) -> Iterator[None]:
        kept.append(claim)
        yield
        kept.append(claim)

    monkeypatch.setattr(world.runner, "_keep_lease", keep)
    with caplog.at_level("INFO", logger="worker.telemetry"):
        _run_lane(world, _message(job))

    assert [claim.step.name for claim in kept[::2]] == [f"step_{number}" for number in range(STEPS)]
    assert kept[::2] == kept[1::2]  # one ends before the next begins
    assert [record.message for record in caplog.records] == ["step_started", "step_ended"] * STEPS


# -- a commit whose answer is lost --------------------------------------------------------------------------------


def test_a_success_whose_commit_is_unknown_goes_on_with_the_claim_that_it_made(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = _job_of(world, monkeypatch, Upstream.GITLAB)
    claim = attempts.claim(world.db, job.id, "step_0", worker="w", limits=world.limits)
    assert isinstance(claim, Claim)
    unknown = iter([True])

    def commit(session: Session) -> None:
        session.commit()
        if next(unknown, False):
            raise CommitUnknownError

    monkeypatch.setattr(engine, "_commit", commit)
    onward = Onward(worker="w", limits=world.limits, may_begin=lambda *_: True)
    following = outcomes.record_success(world.db, claim, {}, onward=onward)

    assert following is not None
    assert world.step(job, "step_1").claim_token == following.token
    assert (len(world.attempts(job, "step_0")), len(world.attempts(job, "step_1"))) == (1, 1)
    assert outcomes.record_success(world.db, following, {}) is None
    assert _states(world, job) == ["succeeded", "succeeded", "ready", "pending"]


# -- lanes that wait for each other -------------------------------------------------------------------------------


def test_a_step_that_waits_for_other_lanes_runs_here_and_there_once_all_have_passed(
    world: World, new_name: Callable[[str], str]
) -> None:
    job = world.sign_up(new_name("ada"), is_checked=True)
    onward = Onward(worker="w", limits=world.limits, may_begin=lambda *_: True)

    def succeed(step: str) -> Claim | None:
        claim = attempts.claim(world.db, job.id, step, worker="w", limits=world.limits)
        assert isinstance(claim, Claim)
        return outcomes.record_success(world.db, claim, {}, onward=onward)

    assert (succeed("check_gitlab_name"), succeed("check_kibana_name")) == (None, None)
    assert {world.step(job, step).state for step in CREATIONS} == {StepState.PENDING}

    following = succeed("check_jenkins_name")

    assert following is not None
    assert following.step.name == "create_jenkins_user"
    assert {step: world.step(job, step).state.value for step in CREATIONS} == {
        "create_gitlab_user": "ready", "create_jenkins_user": "running", "create_kibana_user": "ready"
    }  # fmt: skip
    assert {lane.steps[0] for lane in dispatch.take_due(world.db, limit=9)} == set(CREATIONS) - {"create_jenkins_user"}

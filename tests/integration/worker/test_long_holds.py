"""Holds: how they begin, how long they last, and what goes wrong while they are checked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import pytest
from sqlalchemy.exc import IntegrityError
from support.outages import take_down
from support.world import World

from common.admission import outages, refusals
from common.admission.refusals import Cause
from common.database.engine import Database
from common.database.models import Job, Refusal
from common.errors import Refused
from common.jobs import dispatch
from common.states import JobState, StepState
from common.workflows import Upstream
from harbour.faults import Fault
from worker import upstreams
from worker.refusals import STANDING_S, RefusalProbe
from worker.upstreams.standing import Good, Held, Standing

pytestmark = pytest.mark.one_database

NewName = Callable[[str], str]
GITLAB, JENKINS = Upstream.GITLAB, Upstream.JENKINS
STEP = "create_gitlab_user"
DAY_S = 86_400
CAUSE = Cause(cause="GitLab refuses Slipway's account", remedy="put a new token into GITLAB_TOKEN", is_write=False)


def _logins(world: World) -> dict[Upstream, str]:
    return upstreams.logins(world.settings, world.context.vault)


def _refuse(world: World, upstream: Upstream = GITLAB) -> None:
    assert refusals.hold(world.db, upstream, _logins(world)[upstream], CAUSE, world.time())


def _go_down(world: World) -> None:
    take_down(world.db, GITLAB, "503")


def _row(world: World, upstream: Upstream) -> Refusal:
    row = refusals.find(world.db, upstream, _logins(world)[upstream])
    assert row is not None
    return row


def _run_long_held(world: World, job: Job) -> StepState:
    dispatch.send_long_held(world.db)
    for lane in dispatch.take_due(world.db, limit=100):
        if (lane.job_id, lane.steps[0]) == (job.id, STEP):
            world.runner.run(job.id, STEP)
    return world.step(job, STEP).state


def test_whoever_asks_keeps_the_question_until_the_hold_stands(
    world: World, new_name: NewName, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, hold, questions = world.sign_up(new_name("ada")), refusals.hold, []

    def hold_late(db: Database, upstream: Upstream, login: str, found: Cause, now: datetime) -> bool:
        questions.append(refusals.claim_question(db, upstream, login, now))  # another worker's, at the last moment
        return hold(db, upstream, login, found, now)

    monkeypatch.setattr(refusals, "hold", hold_late)
    world.harbour.gitlab.inject(Fault(kind="status", status=401))
    held = Held(cause=CAUSE.cause, remedy=CAUSE.remedy)

    assert world.runner_named("asking", ask=lambda _upstream, _refused: held).run(job.id, STEP).code == "refused"

    assert questions == [None]


@pytest.mark.parametrize("is_sent", [True, False], ids=["sent after the pause", "parked throughout"])
@pytest.mark.parametrize("begin", [_refuse, _go_down])
def test_a_pause_is_no_part_of_the_week_of_what_follows_it(
    world: World, new_name: NewName, begin: Callable[[World], None], is_sent: bool
) -> None:
    job = world.sign_up(new_name("ada"))
    outages.pause(world.db, GITLAB, by="chief", reason="Moved.", now=world.time())
    world.runner.run(job.id, STEP)
    world.time.advance(8 * DAY_S)
    outages.resume(world.db, GITLAB, world.time())
    begin(world)
    if is_sent:
        world.runner.run(job.id, STEP)

    world.time.advance(7 * DAY_S - 60)
    assert _run_long_held(world, job) is StepState.READY
    world.time.advance(120)
    assert _run_long_held(world, job) is StepState.FAILED
    assert (world.step(job, STEP).reason or "").endswith("Gave up after 7 days.")


@pytest.mark.parametrize("begin", [_refuse, _go_down])
def test_a_job_of_which_nothing_ever_ran_fails_after_the_week(
    world: World, new_name: NewName, begin: Callable[[World], None]
) -> None:
    job = world.make_app(new_name("app"))
    begin(world)
    first = [step.name for step in world.step_rows(job) if step.state is StepState.READY]
    for step in first:
        world.runner.run(job.id, step)
    assert world.job(job).state is JobState.QUEUED

    world.time.advance(7 * DAY_S)
    for step in first:
        world.runner.run(job.id, step)

    assert len(first) == 2
    assert {world.step(job, step).state for step in first} == {StepState.FAILED}
    assert (world.job(job).state, world.job(job).started_at) == (JobState.FAILED, world.time())


def test_a_check_that_breaks_stops_no_other_upstreams(world: World) -> None:
    _refuse(world, GITLAB)
    _refuse(world, JENKINS)
    world.time.advance(refusals.PAUSES_S[0])

    def ask(upstream: Upstream, _refused: Refused | None) -> Standing:
        if upstream is GITLAB:
            raise RuntimeError("a defect")
        return Good()

    RefusalProbe(world.db, ask, _logins(world)).run()

    assert (_row(world, GITLAB).trial_since, _row(world, GITLAB).looks) == (None, 1)
    assert _row(world, JENKINS).trial_since == world.time()


def test_each_check_is_claimed_for_its_whole_time_though_the_one_before_took_long(world: World) -> None:
    _refuse(world, GITLAB)
    _refuse(world, JENKINS)
    world.time.advance(refusals.PAUSES_S[0])
    left_s = {}

    def ask(upstream: Upstream, _refused: Refused | None) -> Standing:
        left_s[upstream] = (_row(world, upstream).look_at - world.time()).total_seconds()
        world.time.advance(STANDING_S)
        return Good()

    RefusalProbe(world.db, ask, _logins(world)).run()

    assert left_s == dict.fromkeys((GITLAB, JENKINS), refusals.CHECK_LEASE_S)


def test_a_hold_that_the_database_refuses_is_an_error(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def execute(*_: object, **__: object) -> None:
        raise IntegrityError("INSERT", None, Exception("a constraint that nobody expected"))

    monkeypatch.setattr(world.db, "execute", execute)

    with pytest.raises(IntegrityError):
        _refuse(world)

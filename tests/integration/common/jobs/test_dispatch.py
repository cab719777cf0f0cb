"""What is due: which lanes a clock takes, which it leaves to others, and what it puts back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session
from support.outages import take_down
from support.world import World

from common.admission import outages
from common.admission.outages import Hold
from common.admission.slots import UpstreamLimits
from common.database.models import IdempotencyRecord, Job, Secret, Slot, Step
from common.jobs import attempts, claims, dispatch, lifecycle, outcomes
from common.jobs.claims import Claim
from common.jobs.dispatch import Released
from common.jobs.lane_messages import LaneMessage
from common.workflows import Upstream
from worker.clock import TICK_S

NewName = Callable[[str], str]
STEP, OTHER = "create_gitlab_user", "create_kibana_user"
HEADS = {"create_gitlab_user", "create_jenkins_user", "create_kibana_user"}


@pytest.fixture
def job(world: World, new_name: NewName) -> Job:
    return world.sign_up(new_name("ada"))


def _claim(world: World, job: Job, step: str = STEP, *, worker: str = "w") -> Claim:
    claim = attempts.claim(world.db, job.id, step, worker=worker, limits=world.limits)
    assert isinstance(claim, Claim), claim
    return claim


def _heads(lanes: list[LaneMessage]) -> set[str]:
    return {lane.steps[0] for lane in lanes}


def _due(world: World, **more: object) -> set[str]:
    return _heads(dispatch.take_due(world.db, **{"limit": 100, **more}))  # type: ignore[arg-type]


# -- what is due --------------------------------------------------------------------------------------------------


def test_a_step_is_due_at_its_time_and_goes_to_one_clock(world: World, job: Job) -> None:
    world.time.advance(lifecycle.RESEND_S - 0.001)
    assert _due(world) == set()
    world.time.advance(0.001)

    assert (_due(world), _due(world)) == (HEADS, set())

    step = world.step(job, STEP)
    assert (step.nudges, step.nudge_at) == (2, world.time() + timedelta(seconds=lifecycle.RESEND_S))


def test_a_clock_takes_the_queues_that_it_serves_and_no_more_than_its_limit_the_oldest_first(
    world: World, job: Job, new_name: NewName
) -> None:
    world.time.advance(1)
    late = world.sign_up(new_name("ada"))
    world.time.advance(lifecycle.RESEND_S)

    gitlab = dispatch.take_due(world.db, limit=1, queues=["gitlab"])

    assert [(lane.job_id, lane.steps[0]) for lane in gitlab] == [(job.id, STEP)]
    assert {lane.job_id for lane in dispatch.take_due(world.db, limit=2)} == {job.id}
    assert {lane.job_id for lane in dispatch.take_due(world.db, limit=100)} == {late.id}
    assert _due(world, queues=[]) == set()


def test_what_waits_in_a_queue_is_sent_a_second_time_within_ten_seconds_and_then_not_for_twenty(
    world: World,
    job: Job,  # noqa: ARG001 - it is due
) -> None:
    sent: dict[str, list[float]] = {head: [] for head in HEADS}
    for tick in range(1, 131):
        world.time.advance(TICK_S)
        for head in _due(world, backlog=lambda: {"gitlab", "jenkins"}):
            sent[head].append(tick * TICK_S)

    assert sent.pop(OTHER) == [5.0, 10.0, 20.0, 40.0]  # of a queue that is empty
    for second, third, *later in sent.values():
        assert second <= 10, sent
        assert third >= dispatch.QUEUED_FOR_S, sent
        assert len(later) <= 2, sent


def test_more_that_waits_in_queues_than_is_moved_at_once_is_not_sent_again_either(
    world: World, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "LEFT_AT_ONCE", 1)
    world.time.advance(lifecycle.RESEND_S)

    assert _due(world, backlog=lambda: set(Upstream)) == set()

    assert Counter(world.step(job, head).nudge_at > world.time() for head in HEADS) == {True: 1, False: 2}


@pytest.mark.parametrize("is_success", [True, False])
def test_a_backlog_keeps_no_step_from_being_sent_that_another_lane_released(
    world: World, new_name: NewName, is_success: bool
) -> None:
    job = world.sign_up(new_name("ada"), is_checked=True)
    checks = [_claim(world, job, f"check_{name}_name") for name in ("gitlab", "kibana", "jenkins")]
    for check in checks[:2]:
        outcomes.record_success(world.db, check, {})

    if is_success:
        outcomes.record_success(world.db, checks[2], {})
    else:
        _skip(world, checks[2])

    assert _due(world, backlog=lambda: set(Upstream)) == HEADS - {"create_jenkins_user"}


def _skip(world: World, claim: Claim) -> None:
    """Let the lane go on as when a person skips the step."""

    def work(session: Session) -> None:
        lifecycle.make_next_ready(session, session.get_one(Step, claim.step.id), world.time())

    world.db.transaction(work)


def test_a_backlog_keeps_nothing_from_being_sent_that_was_put_back(world: World, job: Job) -> None:
    dispatch.put_back(world.db, [LaneMessage(job_id=job.id, kind="signup", steps=(head,)) for head in HEADS])

    assert _due(world, backlog=lambda: set(Upstream)) == HEADS
    assert _due(world, backlog=lambda: set(Upstream)) == set()


def test_a_queue_that_has_become_empty_has_lost_what_was_sent(world: World, job: Job) -> None:
    world.time.advance(lifecycle.RESEND_S)
    assert _due(world, backlog=lambda: {"gitlab", "jenkins", "elasticsearch"}) == set()
    assert world.step(job, STEP).nudges == 1

    world.time.advance(lifecycle.RESEND_S)

    assert _due(world, backlog=tuple) == HEADS


def test_a_backlog_keeps_no_wait_and_no_retry_from_being_sent(world: World, job: Job) -> None:
    outcomes.record_success(world.db, _claim(world, job, "create_jenkins_user"), {})
    wait = _claim(world, job, "assign_jenkins_role")
    outcomes.record_wait(world.db, wait, code="c", reason="r", retry_after_s=2)
    outcomes.record_retry(world.db, _claim(world, job), code="c", reason="r", delay_s=2)
    world.time.advance(2)

    assert _due(world, backlog=lambda: set(Upstream)) == {STEP, "assign_jenkins_role"}


def test_a_backlog_keeps_no_lost_lease_from_being_taken_over(world: World, job: Job) -> None:
    _claim(world, job)
    world.time.advance(claims.LEASE_S)

    assert STEP in _due(world, backlog=lambda: set(Upstream))


def test_the_backlog_is_asked_for_only_when_something_is_due(world: World, job: Job) -> None:
    def ask() -> set[str]:
        raise AssertionError(job.id)

    assert _due(world, backlog=ask) == set()


def test_leases_that_ran_out_are_taken_unless_they_are_left_to_their_workers(world: World, job: Job) -> None:
    _claim(world, job)
    world.time.advance(claims.LEASE_S)

    assert _due(world, takes_over=False) == HEADS - {STEP}
    assert _due(world) == {STEP}


def test_what_could_not_be_sent_is_due_again_at_once_as_if_never_taken(
    world: World, job: Job, new_name: NewName
) -> None:
    other = world.sign_up(new_name("ada"))
    world.time.advance(lifecycle.RESEND_S)
    taken = dispatch.take_due(world.db, limit=100)
    unsent = [lane for lane in taken if lane.job_id == job.id and lane.steps[0] in (STEP, OTHER)]
    world.time.advance(1)

    dispatch.put_back(world.db, unsent)

    for step, nudges in ((STEP, 1), (OTHER, 1), ("create_jenkins_user", 2)):
        assert world.step(job, step).nudges == nudges
    assert world.step(job, STEP).nudge_at == world.time()
    assert world.step(other, STEP).nudges == 2
    assert {lane.job_id for lane in dispatch.take_due(world.db, limit=100)} == {job.id}
    dispatch.put_back(world.db, [])


def test_a_step_that_was_never_sent_is_put_back_to_no_less_than_none(world: World, job: Job) -> None:
    lane = LaneMessage(job_id=job.id, kind="signup", steps=(STEP,))

    dispatch.put_back(world.db, [lane])
    dispatch.put_back(world.db, [lane])

    assert (world.step(job, STEP).nudges, world.step(job, STEP).nudge_at) == (0, world.time())


def test_what_is_over_or_parked_is_not_put_back(world: World, job: Job) -> None:
    outcomes.record_failure(world.db, _claim(world, job), code="c", reason="r")

    dispatch.put_back(world.db, [LaneMessage(job_id=job.id, kind="signup", steps=(STEP,))])

    assert world.step(job, STEP).nudge_at is None


# -- what is parked -----------------------------------------------------------------------------------------------


def _park(world: World, job: Job, step: str = STEP) -> None:
    assert isinstance(attempts.claim(world.db, job.id, step, worker="w", limits=world.limits), Hold)


def test_parked_steps_go_when_there_is_room_those_that_waited_longest_first(world: World, new_name: NewName) -> None:
    world.limits = {**world.limits, Upstream.GITLAB: UpstreamLimits(at_once=2)}
    first, second, third, fourth = (world.sign_up(new_name("ada")) for _ in range(4))
    running = [_claim(world, each) for each in (first, second)]
    for each in (fourth, third):
        _park(world, each)
        world.time.advance(1)
    assert dispatch.take_parked(world.db, world.limits) == []
    outcomes.record_failure(world.db, running[0], code="c", reason="r")

    assert dispatch.take_parked(world.db, world.limits, queues=["jenkins"]) == []
    assert [lane.job_id for lane in dispatch.take_parked(world.db, world.limits)] == [fourth.id]
    assert dispatch.take_parked(world.db, world.limits) == []  # it is on its way
    world.time.advance(lifecycle.RESEND_S + 0.001)  # it never came: no place is kept for it any more
    assert [lane.job_id for lane in dispatch.take_parked(world.db, world.limits, limit=1)] == [third.id]


@pytest.mark.parametrize("early_s", [0.0, 0.001])
def test_steps_that_an_outage_has_held_too_long_are_sent_to_fail(world: World, job: Job, early_s: float) -> None:
    take_down(world.db, Upstream.GITLAB, "r")
    outages.pause(world.db, Upstream.JENKINS, by="t", reason="r", now=world.time())
    _park(world, job)
    _park(world, job, "create_jenkins_user")
    world.time.advance(outages.LONGEST_HOLD_S - early_s)

    dispatch.send_long_held(world.db)

    assert (world.step(job, STEP).nudge_at == world.time()) is (early_s == 0)
    assert world.step(job, "create_jenkins_user").nudge_at is None  # a pause has no end of its own


# -- a worker that died -------------------------------------------------------------------------------------------


def test_the_leases_of_a_dead_worker_end_soon_and_those_of_others_do_not(world: World, job: Job) -> None:
    dead, alive = _claim(world, job, worker="dead"), _claim(world, job, OTHER, worker="alive")
    lease = world.step(job, OTHER).lease_until

    assert dispatch.release_worker(world.db, "dead") == Released(leases=1, is_all=True)

    until = world.time() + timedelta(seconds=dispatch.LAST_CALL_S)
    step = world.step(job, STEP)
    assert (step.lease_until, step.nudge_at, step.claim_token) == (until, until, dead.token)
    slots = {row.holder: row.until for row in world.db.read(lambda session: session.scalars(select(Slot)).all())}
    assert (slots[dead.token], slots[alive.token], world.step(job, OTHER).lease_until) == (until, lease, lease)
    assert dispatch.release_worker(world.db, "dead") == Released(leases=0, is_all=True)
    assert dispatch.release_worker(world.db, "nobody") == Released(leases=0, is_all=True)


def test_a_lease_that_ends_sooner_anyway_is_left_alone(world: World, job: Job) -> None:
    _claim(world, job)
    lease = world.step(job, STEP).lease_until
    world.time.advance(claims.LEASE_S - dispatch.LAST_CALL_S)

    assert dispatch.release_worker(world.db, "w") == Released(leases=0, is_all=True)
    assert world.step(job, STEP).lease_until == lease


def test_the_attempt_of_a_worker_that_died_earlier_costs_the_present_one_nothing(world: World, job: Job) -> None:
    _claim(world, job, worker="dead")
    world.time.advance(claims.LEASE_S)
    _claim(world, job, worker="heir")

    assert dispatch.release_worker(world.db, "dead") == Released(leases=0, is_all=True)


# -- what has expired ---------------------------------------------------------------------------------------------


def test_what_has_expired_is_deleted_and_what_has_not_is_kept(world: World, job: Job, new_name: NewName) -> None:
    other = world.sign_up(new_name("ada"))
    over = update(Secret).where(Secret.job_id == job.id).values(expires_at=world.time())
    world.db.transaction(lambda session: session.execute(over))

    def keep(key: str, after_s: float) -> IdempotencyRecord:
        at = world.time() + timedelta(seconds=after_s)
        return IdempotencyRecord(owner="o", key=key, fingerprint="f", key_id="k", sealed=b"", expires_at=at)

    world.db.transaction(lambda session: session.add_all([keep("over", 0), keep("kept", 1)]))

    dispatch.delete_expired(world.db)

    assert world.db.read(lambda session: list(session.scalars(select(Secret.job_id)))) == [other.id]
    assert world.db.read(lambda session: list(session.scalars(select(IdempotencyRecord.key)))) == ["kept"]
    assert world.db.read(lambda session: session.scalars(select(Step.id)).first()) is not None

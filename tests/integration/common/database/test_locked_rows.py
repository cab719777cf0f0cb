"""A row that a silent process has locked delays what depends on that row, and nothing else; and not for long.

A process that is stopped, paused or cut off from the network in a transaction keeps its locks as long as the server
keeps its session. Here it is a connection that locks rows and says nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from threading import Event
from typing import Any

import pytest
from sqlalchemy import Select, event, select, text, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session
from support.outages import take_down
from support.row_locks import finding_locks
from support.world import Time, World

from common.admission import outages, slots
from common.admission.outages import Hold
from common.admission.slots import UpstreamLimits
from common.database import connections
from common.database.connections import Commits
from common.database.engine import Database
from common.database.models import Job, RateCount, Slot, Step, UpstreamStatus
from common.jobs import attempts, dispatch, lifecycle, outcomes, retention
from common.jobs.claims import Claim
from common.states import StepState
from common.workflows import Upstream

pytestmark = pytest.mark.parametrize("db_url", ["mariadb"], indirect=True)  # SQLite has one lock: for writing at all

NewName = Callable[[str], str]
WITHIN_S = 20.0
GITLAB, JENKINS = Upstream.GITLAB, Upstream.JENKINS


@pytest.fixture
def silent(db_url: str, time: Time) -> Iterator[Callable[[Select[Any]], None]]:
    """Lock the rows of a statement, and say nothing more until the test is over."""
    database = Database(db_url, now=time)
    with database.engine.connect() as connection:

        def lock(rows: Select[Any]) -> None:
            assert connection.execute(rows.with_for_update()).all()

        yield lock
        connection.rollback()
    database.dispose()


def _claim(world: World, job: Job, step: str, worker: str = "w") -> Claim:
    claim = attempts.claim(world.db, job.id, step, worker=worker, limits=world.limits)
    assert isinstance(claim, Claim), claim
    return claim


def _sign_ups(world: World, new_name: NewName, count: int) -> list[Job]:
    return [world.sign_up(new_name("ada")) for _ in range(count)]


# -- rows of which any will do ------------------------------------------------------------------------------------


def test_every_lane_but_the_locked_one_is_dispatched(
    world: World, new_name: NewName, silent: Callable[[Select[Any]], None]
) -> None:
    jobs = _sign_ups(world, new_name, 10)
    world.time.advance(lifecycle.RESEND_S)
    silent(select(Step.id).where(Step.job_id == jobs[0].id, Step.state == StepState.READY).limit(1))

    assert len(dispatch.take_due(world.db, limit=100)) == 29


def test_more_locked_lanes_than_a_clock_takes_at_once_hold_up_no_other(
    world: World, new_name: NewName, silent: Callable[[Select[Any]], None]
) -> None:
    first, second = _sign_ups(world, new_name, 2)
    world.time.advance(lifecycle.RESEND_S)
    silent(select(Step.id).where(Step.job_id == first.id, Step.state == StepState.READY))

    assert {lane.job_id for lane in dispatch.take_due(world.db, limit=3)} == {second.id}


def test_every_parked_lane_but_the_locked_one_is_dispatched(
    world: World, new_name: NewName, silent: Callable[[Select[Any]], None]
) -> None:
    jobs = _sign_ups(world, new_name, 3)
    outages.pause(world.db, GITLAB, by="chief", reason="Upgrade.", now=world.time())
    for job in jobs:
        assert isinstance(attempts.claim(world.db, job.id, "create_gitlab_user", worker="w", limits=world.limits), Hold)
    outages.resume(world.db, GITLAB, world.time() - timedelta(hours=1))
    silent(select(Step.id).where(Step.job_id == jobs[0].id, Step.name == "create_gitlab_user"))

    assert {lane.job_id for lane in dispatch.take_parked(world.db, world.limits)} == {jobs[1].id, jobs[2].id}


def test_every_lane_but_the_locked_one_is_put_back(
    world: World, new_name: NewName, silent: Callable[[Select[Any]], None]
) -> None:
    first, second = _sign_ups(world, new_name, 2)
    world.time.advance(lifecycle.RESEND_S)
    lanes = dispatch.take_due(world.db, limit=100)
    silent(select(Step.id).where(Step.job_id == first.id))

    dispatch.put_back(world.db, lanes)

    assert {lane.job_id for lane in dispatch.take_due(world.db, limit=100)} == {second.id}


def test_every_lease_of_a_dead_worker_but_the_locked_one_is_ended(
    world: World, new_name: NewName, silent: Callable[[Select[Any]], None]
) -> None:
    first, second = _sign_ups(world, new_name, 2)
    for job in (first, second):
        _claim(world, job, "create_gitlab_user", "dead")
    silent(select(Step.id).where(Step.job_id == first.id, Step.name == "create_gitlab_user"))

    assert dispatch.release_worker(world.db, "dead") == dispatch.Released(leases=1, is_all=False)


def test_a_locked_job_does_not_keep_the_leases_of_a_dead_worker(
    world: World, new_name: NewName, silent: Callable[[Select[Any]], None]
) -> None:
    (job,) = _sign_ups(world, new_name, 1)
    _claim(world, job, "create_gitlab_user", "dead")
    silent(select(Job.id).where(Job.id == job.id))

    assert dispatch.release_worker(world.db, "dead") == dispatch.Released(leases=1, is_all=True)


def test_a_locked_slot_leaves_the_others_to_be_claimed(
    world: World, new_name: NewName, silent: Callable[[Select[Any]], None]
) -> None:
    world.limits = {**world.limits, GITLAB: UpstreamLimits(at_once=2)}
    (job,) = _sign_ups(world, new_name, 1)
    silent(select(Slot.number).where(Slot.upstream == GITLAB, Slot.number == 0))

    assert _claim(world, job, "create_gitlab_user").admission.slots == ((GITLAB, 1),)


def test_a_worker_starts_beside_a_locked_step_that_an_older_version_left_parked(
    world: World, new_name: NewName, silent: Callable[[Select[Any]], None]
) -> None:
    first, second = _sign_ups(world, new_name, 2)
    for job in (first, second):
        _claim(world, job, "create_gitlab_user")
    left = Step.name == "create_gitlab_user"
    world.db.transaction(lambda session: session.execute(update(Step).where(left).values(parked_at=world.time())))
    silent(select(Step.id).where(Step.job_id == first.id, left))

    slots.prepare(world.db, world.limits)

    parked = [world.step(job, "create_gitlab_user").parked_at is not None for job in (first, second)]
    assert parked == [True, False]


def test_every_expired_row_but_the_locked_one_is_deleted(world: World, silent: Callable[[Select[Any]], None]) -> None:
    rows = [RateCount(bucket=name, period=1, hits=1, expires_at=world.time()) for name in "abc"]
    world.db.transaction(lambda session: session.add_all(rows))
    silent(select(RateCount.hits).where(RateCount.bucket == "b"))

    dispatch.delete_expired(world.db)

    assert world.db.read(lambda session: session.scalars(select(RateCount.bucket)).all()) == ["b"]


def test_every_old_job_but_the_locked_one_is_deleted(
    world: World, new_name: NewName, silent: Callable[[Select[Any]], None]
) -> None:
    made = world.make_app(new_name("app"))
    world.drive(made)
    old = [world.drive(world.accept_for(made, "drift")) for _ in range(2)]
    world.drive(world.accept_for(made, "drift"))
    silent(select(Job.id).where(Job.id == old[0].id))
    world.time.advance(24 * 3600)

    list(retention.sweep(world.db, world.settings, before=world.time()))

    left = world.db.read(lambda session: set(session.scalars(select(Job.id)).all()))
    assert old[0].id in left
    assert old[1].id not in left


# -- the row of an upstream, which everybody needs ----------------------------------------------------------------


def _fail_without_answer(world: World, claim: Claim, count: int) -> None:
    outcomes.record_retry(
        world.db, claim, code="c", reason=f"no answer {count}", delay_s=1, unavailable=GITLAB, enough=2
    )


def test_no_process_holds_an_upstreams_row_between_two_statements(world: World, db_url: str, new_name: NewName) -> None:
    first, second, third = _sign_ups(world, new_name, 3)
    assert len(world.db.read(lambda session: session.scalars(select(UpstreamStatus.name)).all())) > 1
    with finding_locks(world.db, db_url, UpstreamStatus) as found:
        slots.reserve_call(world.db, GITLAB, 0.1)
        for count, job in enumerate((first, second)):
            _fail_without_answer(world, _claim(world, job, "create_gitlab_user"), count)
        take_down(world.db, GITLAB, "no answer")
        world.time.advance(60)
        (due,) = world.db.read(lambda session: outages.due_probes(session, world.time()))
        assert (probe := outages.claim_probe(world.db, due, world.time())) is not None
        assert outages.mark_up(world.db, probe, world.time())
        outages.record_unavailable(world.db, GITLAB, "no answer", world.time(), enough=9)
        answered = _claim(world, third, "create_gitlab_user")
        assert answered.admission.is_doubted
        outcomes.record_success(world.db, answered, {})
        outages.pause(world.db, JENKINS, by="chief", reason="Upgrade.", now=world.time())
        outages.resume(world.db, JENKINS, world.time())

    assert found == []


def test_steps_are_claimed_and_end_beside_a_locked_upstream(
    world: World, new_name: NewName, silent: Callable[[Select[Any]], None]
) -> None:
    first, second = _sign_ups(world, new_name, 2)
    silent(select(UpstreamStatus.name))

    outcomes.record_success(world.db, _claim(world, first, "create_gitlab_user"), {})
    outcomes.record_wait(world.db, _claim(world, second, "create_gitlab_user"), code="c", reason="r", retry_after_s=1)


def test_an_outcome_waits_for_a_locked_job_as_long_as_a_frozen_process_can_hold_it(
    world: World, db_url: str, new_name: NewName
) -> None:
    (job,) = _sign_ups(world, new_name, 1)
    claim = _claim(world, job, "create_gitlab_user")
    with Database(db_url).engine.connect() as frozen:
        frozen.execute(select(Job.id).where(Job.id == job.id).with_for_update())
        waits_in_vain = 0

        def thaw_at_the_third(_context: object) -> None:  # a claim would have given up by then
            nonlocal waits_in_vain
            waits_in_vain += 1
            if waits_in_vain == 3:
                frozen.rollback()

        event.listen(world.db.engine, "handle_error", thaw_at_the_third)
        outcomes.record_success(world.db, claim, {})

    assert world.step(job, "create_gitlab_user").state is StepState.SUCCEEDED


def test_a_probe_that_reports_after_another_worker_has_it_changes_nothing(world: World) -> None:
    outages.record_unavailable(world.db, GITLAB, "no answer", world.time(), enough=1)
    probes = []
    for _ in range(2):
        (due,) = world.db.read(lambda session: outages.due_probes(session, world.time()))
        probes.append(outages.claim_probe(world.db, due, world.time()))
        world.time.advance(outages.PROBE_LEASE_S)
    frozen, other = probes
    assert frozen
    assert other

    assert not outages.mark_down(world.db, frozen, "no answer", world.time())
    assert not outages.mark_up(world.db, frozen, world.time())
    assert outages.mark_up(world.db, other, world.time())


# -- the end of the lock ------------------------------------------------------------------------------------------


def _mysql_settings(limit_s: int, _commits: Commits, **_: Any) -> str:
    """Return what MySQL reads of our settings, with a short limit: MariaDB has that variable, too."""
    return f"SET innodb_lock_wait_timeout = 1, wait_timeout = {limit_s}"


@pytest.fixture(params=["MariaDB", "MySQL"])
def short_limits(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions may be silent for one second only."""
    monkeypatch.setattr(connections, "IDLE_TRANSACTION_S", 1)
    if request.param == "MySQL":
        monkeypatch.setattr(connections, "session_settings", partial(_mysql_settings, 1))


def _hit(session: Session) -> None:
    session.execute(update(RateCount).where(RateCount.bucket == "a").values(hits=RateCount.hits + 1))


@pytest.mark.usefixtures("short_limits")
def test_the_server_ends_a_silent_transaction_whose_work_then_runs_again(db: Database, db_url: str, time: Time) -> None:
    row = RateCount(bucket="a", period=1, hits=0, expires_at=time())
    db.transaction(lambda session: session.add(row))
    frozen, is_held, is_thawed, runs = Database(db_url), Event(), Event(), []

    def freeze(session: Session) -> None:
        runs.append(1)
        _hit(session)
        if len(runs) == 1:
            is_held.set()
            assert is_thawed.wait(WITHIN_S)
        session.execute(text("SELECT 1"))

    with ThreadPoolExecutor(1) as pool:
        freezing = pool.submit(frozen.transaction, freeze)
        assert is_held.wait(WITHIN_S)
        for _ in range(int(WITHIN_S)):
            if _does_hit(db):
                break
        is_thawed.set()
        freezing.result(WITHIN_S)

    frozen.dispose()
    assert len(runs) == 2
    assert db.read(lambda session: session.scalar(select(RateCount.hits))) == 2


def _does_hit(db: Database) -> bool:
    try:
        db.transaction(_hit)
    except OperationalError:
        return False
    return True

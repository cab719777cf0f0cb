"""Leases are renewed while an attempt runs, and no longer: what a process that renews no more loses, and when."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session
from support.world import Time, World

from common.database.engine import Database
from common.database.models import Job, Slot
from common.jobs import attempts, claims, dispatch, outcomes
from common.jobs.claims import Claim, ClaimLostError, ClaimRefused
from common.states import Outcome, StepState
from worker import leases
from worker.context import StepContext
from worker.leases import LeaseRenewal
from worker.runner import NextAction, Runner
from worker.upstreams import Upstreams

ON_MARIADB = pytest.mark.parametrize("db_url", ["mariadb"], indirect=True)
STEP = "fork_source"
NewName = Callable[[str], str]


class Process:
    """A worker process as far as its leases go: claims that it keeps, and a thread that renews them when it runs."""

    def __init__(self, world: World, db: Database) -> None:
        self.world = world
        self.renewal = LeaseRenewal(db, clock_s=lambda: world.time().timestamp())
        self._kept = ExitStack()

    def claim(self, job: Job, step: str = STEP) -> Claim:
        claim = attempts.claim(self.world.db, job.id, step, worker="w", limits=self.world.limits)
        assert isinstance(claim, Claim)
        self._kept.enter_context(self.renewal.keep(claim))
        return claim

    def live(self, seconds: float) -> None:
        """Let time pass while the thread runs."""
        for _ in range(round(seconds / leases.RENEW_AFTER_S)):
            self.world.time.advance(leases.RENEW_AFTER_S)
            self.renewal.renew()


@pytest.fixture
def process(world: World) -> Process:
    return Process(world, world.db)


def _is_held(world: World, claim: Claim) -> bool:
    def check(session: Session) -> None:
        claims.require_held(session, claim, world.time())

    try:
        world.db.transaction(check)
    except ClaimLostError:
        return False
    return True


def _slots_of(world: World, claim: Claim) -> list[Slot]:
    held = select(Slot).where(Slot.holder == claim.token)
    return list(world.db.read(lambda session: session.scalars(held).all()))


def test_a_lease_is_a_few_seconds_long_whatever_the_limit_of_the_step(world: World, new_name: NewName) -> None:
    job = world.make_app(new_name("app"))
    world.drive(job, until="create_application")
    claim = attempts.claim(world.db, job.id, "create_application", worker="w", limits=world.limits)
    assert isinstance(claim, Claim)

    step = world.step(job, "create_application")

    assert claim.plan.limit_s > 100
    assert step.lease_until is not None
    assert (step.lease_until - world.time()).total_seconds() == claims.LEASE_S == 8
    assert step.nudge_at == step.lease_until
    assert [slot.until for slot in _slots_of(world, claim)] == [step.lease_until]


def test_a_claim_is_held_as_long_as_it_is_renewed(world: World, new_name: NewName, process: Process) -> None:
    job = world.make_app(new_name("app"))
    claim = process.claim(job)

    process.live(seconds=claim.plan.limit_s)

    step, (slot,) = world.step(job, STEP), _slots_of(world, claim)
    assert _is_held(world, claim)
    assert step.lease_until is not None
    assert (step.lease_until - world.time()).total_seconds() == claims.LEASE_S
    assert step.nudge_at == slot.until == step.lease_until
    assert attempts.claim(world.db, job.id, STEP, worker="v", limits={}) is ClaimRefused.NOT_NOW
    assert STEP not in [lane.steps[0] for lane in dispatch.take_due(world.db, limit=100)]


def test_a_frozen_process_loses_its_claim_when_the_lease_is_over(
    world: World, new_name: NewName, process: Process
) -> None:
    job = world.make_app(new_name("app"))
    frozen = process.claim(job)
    world.time.advance(claims.LEASE_S - 0.001)
    assert _is_held(world, frozen)
    assert attempts.claim(world.db, job.id, STEP, worker="heir", limits=world.limits) is ClaimRefused.NOT_NOW

    world.time.advance(0.001)

    assert not _is_held(world, frozen)  # the fence is shut, though nobody else has come yet
    heir = attempts.claim(world.db, job.id, STEP, worker="heir", limits=world.limits)
    assert isinstance(heir, Claim)
    lease = world.step(job, STEP).lease_until
    process.renewal.renew()  # it wakes up
    assert not _is_held(world, frozen)
    assert world.step(job, STEP).lease_until == lease
    assert _slots_of(world, frozen) == []
    with pytest.raises(ClaimLostError):
        outcomes.record_success(world.db, frozen, {})
    outcomes.record_success(world.db, heir, {"project_id": 1})
    assert [attempt.outcome for attempt in world.attempts(job, STEP)] == [Outcome.LOST, Outcome.SUCCEEDED]


def test_a_lease_that_is_over_is_renewed_if_nobody_has_come(world: World, new_name: NewName, process: Process) -> None:
    job = world.make_app(new_name("app"))
    claim = process.claim(job)
    world.time.advance(2 * claims.LEASE_S)

    process.renewal.renew()

    assert _is_held(world, claim)


def test_a_claim_whose_slot_was_taken_is_not_renewed(world: World, new_name: NewName, process: Process) -> None:
    job = world.make_app(new_name("app"))
    claim = process.claim(job)
    world.time.advance(claims.LEASE_S)
    (slot,) = _slots_of(world, claim)

    def take(session: Session) -> None:
        session.get_one(Slot, (slot.upstream, slot.number)).holder = "somebody else"

    world.db.transaction(take)
    process.renewal.renew()

    assert not _is_held(world, claim)
    lease = world.step(job, STEP).lease_until
    assert lease is not None
    assert lease <= world.time()


def test_an_attempt_that_hangs_is_not_renewed_for_ever(world: World, new_name: NewName, process: Process) -> None:
    job = world.make_app(new_name("app"))
    claim = process.claim(job)

    process.live(seconds=claim.plan.limit_s + leases.GRACE_S)
    assert _is_held(world, claim)
    process.live(seconds=claims.LEASE_S + leases.RENEW_AFTER_S)

    assert not _is_held(world, claim)


def test_a_renewal_costs_a_statement_for_each_row_and_only_when_it_is_due(
    world: World, new_name: NewName, process: Process
) -> None:
    process.claim(world.make_app(new_name("app")))
    counted = _Counted(process)

    world.time.advance(leases.RENEW_AFTER_S - 0.001)
    process.renewal.renew()
    assert counted.rows == []
    world.time.advance(0.001)
    process.renewal.renew()
    process.renewal.renew()

    assert counted.rows == [1, 1]  # its slot and its step


class _Counted:
    """Counts what a process's renewals match."""

    def __init__(self, process: Process) -> None:
        self.rows: list[int] = []
        db: Any = process.world.db
        run = db.run

        def counting(statement: Any) -> int:
            self.rows.append(run(statement))
            return self.rows[-1]

        db.run = counting


@ON_MARIADB
def test_a_row_that_a_silent_session_has_locked_costs_no_other_claim(
    world: World, new_name: NewName, db_url: str
) -> None:
    process = Process(world, Database(db_url, now=world.time, pool_size=1, answers_within_s=3, tries=1))
    jobs = [world.make_app(new_name("app")) for _ in range(3)]
    held = [process.claim(job) for job in jobs]
    locked = text("SELECT id FROM steps WHERE id = :id FOR UPDATE").bindparams(id=held[0].step.id)

    with world.db.engine.connect() as silent:
        silent.execute(locked)
        process.live(seconds=claims.LEASE_S)
        assert [_is_renewed(world, job) for job in jobs] == [False, True, True]

    process.live(seconds=leases.RENEW_AFTER_S)
    assert [_is_held(world, claim) for claim in held] == [True, True, True]


def test_rows_that_are_locked_are_tried_in_turn(world: World, new_name: NewName, process: Process) -> None:
    first, second = (process.claim(world.make_app(new_name("app"))) for _ in range(2))
    db: Any = world.db
    run, locked = db.run, [first.token, second.token]

    def locking(statement: Any) -> int:
        if any(value in locked for value in statement.compile().params.values()):
            raise OperationalError("UPDATE", {}, Exception(1205))
        return int(run(statement))

    db.run = locking
    process.live(seconds=leases.RENEW_AFTER_S)
    locked.remove(second.token)
    process.live(seconds=claims.LEASE_S - leases.RENEW_AFTER_S)

    assert [_is_held(world, claim) for claim in (first, second)] == [False, True]


def _is_renewed(world: World, job: Job) -> bool:
    lease = world.step(job, STEP).lease_until
    assert lease is not None
    return lease > world.time()


def test_a_renewal_that_the_database_did_not_answer_is_made_in_the_next_round(
    world: World, new_name: NewName, time: Time
) -> None:
    process = Process(world, world.db)
    claim = process.claim(world.make_app(new_name("app")))
    db: Any = world.db
    run, answers = db.run, iter([False, True, True])

    def answering(statement: Any) -> int:
        if not next(answers):
            raise OperationalError("UPDATE", {}, Exception(2003))
        return int(run(statement))

    db.run = answering
    time.advance(leases.RENEW_AFTER_S)
    with pytest.raises(OperationalError):
        process.renewal.renew()
    time.advance(claims.LEASE_S - leases.RENEW_AFTER_S - leases.EVERY_S)
    process.renewal.renew()
    time.advance(leases.EVERY_S)

    assert _is_held(world, claim)


def test_a_runner_keeps_its_claim_while_the_step_runs_and_not_after_it(
    world: World, new_name: NewName, process: Process
) -> None:
    job, seen = world.make_app(new_name("app")), []

    def slow(_job: StepContext, _upstreams: Upstreams) -> dict[str, Any]:
        process.live(seconds=3 * claims.LEASE_S)
        seen.append(attempts.claim(world.db, job.id, STEP, worker="v", limits=world.limits))
        return {"project_id": 1}

    runner = Runner(
        world.context,
        world.clients,
        {"provision.fork_source": slow},
        world.limits,
        worker="w",
        keep_lease=process.renewal.keep,
    )
    result = runner.run(job.id, STEP)

    assert seen == [ClaimRefused.NOT_NOW]
    assert (result.action, world.step(job, STEP).state) == (NextAction.GO_ON, StepState.SUCCEEDED)
    counted = _Counted(process)
    process.live(seconds=claims.LEASE_S)
    assert counted.rows == []

"""Which claims other workers take over, and which they leave to those that have them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError
from support.world import World

from common.jobs import attempts, claims, dispatch
from common.jobs.claims import Claim
from common.jobs.lane_messages import LaneMessage
from worker.broker_link import BrokerLink
from worker.clock import LEFT_FOR_S, Clock
from worker.leases import EVERY_S
from worker.liveness import WorkerRegister

pytestmark = pytest.mark.one_database

STEP = "fork_source"
NewName = Callable[[str], str]


class Outbox:
    """A publisher whose messages stay here."""

    is_resting = False

    def __init__(self) -> None:
        self.heads: list[str] = []

    def send(self, lanes: Iterable[LaneMessage]) -> int:
        sent = [lane.steps[0] for lane in lanes]
        self.heads += sent
        return len(sent)

    def backlog(self) -> tuple[str, ...]:
        return ()


def _claim(world: World, job_id: str, worker: str) -> Claim:
    claim = attempts.claim(world.db, job_id, STEP, worker=worker, limits=world.limits)
    assert isinstance(claim, Claim)
    return claim


@pytest.mark.parametrize(("number", "is_left"), [(2003, True), (2013, True), (1205, False)])
def test_leases_that_ran_out_while_the_database_was_away_are_left_to_their_workers(
    world: World, new_name: NewName, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, is_left: bool
) -> None:
    outbox, now_s = Outbox(), [0.0]
    publisher: Any = outbox
    register, link = WorkerRegister(tmp_path / "workers"), BrokerLink()
    clock = Clock(world.db, publisher, register, world.limits, link, clock_s=lambda: now_s[0])
    _claim(world, world.make_app(new_name("app")).id, "w")
    clock.tick()
    world.time.advance(claims.LEASE_S)

    def away(_work: object) -> None:
        raise OperationalError("SELECT", {}, Exception(number))

    with monkeypatch.context() as broken:
        broken.setattr(world.db, "read", away)
        with pytest.raises(OperationalError):
            clock.tick()
    clock.tick()
    assert (STEP not in outbox.heads) is is_left
    assert "fork_helm" in outbox.heads  # what nobody has is sent at once

    now_s[0] += LEFT_FOR_S
    clock.tick()
    assert STEP in outbox.heads


def test_a_lease_is_left_for_longer_than_its_renewal_takes() -> None:
    assert 2 * EVERY_S < LEFT_FOR_S < claims.LEASE_S


def test_the_release_of_a_dead_workers_claim_leaves_the_next_claim_alone(
    world: World, new_name: NewName, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = world.make_app(new_name("app"))
    _claim(world, job.id, "dead")
    heirs: list[Claim] = []
    read = world.db.read

    def read_late(work: Any) -> Any:
        seen = read(work)
        if not heirs:
            world.time.advance(claims.LEASE_S)
            heirs.append(_claim(world, job.id, "heir"))
        return seen

    with monkeypatch.context() as late:
        late.setattr(world.db, "read", read_late)
        released = dispatch.release_worker(world.db, "dead")

    lease = world.step(job, STEP).lease_until
    assert released.leases == 0
    assert lease is not None
    assert (lease - world.time()).total_seconds() == claims.LEASE_S


def test_what_a_dead_worker_sent_has_time_to_arrive() -> None:
    assert dispatch.LAST_CALL_S >= 1

"""The database's clock may be set back by minutes or hours: nothing waits until it is as late again.

A table of every time that somebody waits for, each made before the clock is set back. Source of the limits:
`common/horizons.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from sqlalchemy import DateTime
from support.outages import take_down
from support.world import World

from common.admission import outages, slots
from common.admission.outages import Hold
from common.admission.slots import UpstreamLimits
from common.database.models import Base, Job, Slot, Step, UpstreamStatus
from common.database.types import UtcDateTime
from common.jobs import attempts, dispatch, outcomes
from common.jobs.attempts import ClaimRefused
from common.jobs.claims import Claim
from common.workflows import Upstream

NewName = Callable[[str], str]
GITLAB = Upstream.GITLAB
FIRST = "create_gitlab_user"


def _claim(world: World, job: Job, step: str = FIRST) -> Claim | Hold | ClaimRefused:
    return attempts.claim(world.db, job.id, step, worker="w", limits=world.limits)


def _claimed(world: World, job: Job, step: str = FIRST) -> Claim:
    claim = _claim(world, job, step)
    assert isinstance(claim, Claim), claim
    return claim


def _overtaken(world: World) -> set[str]:
    return {lane.steps[0] for lane in dispatch.take_overtaken(world.db, limit=100)}


def _ready(world: World, job: Job) -> Callable[[], bool]:
    assert job
    return lambda: FIRST in _overtaken(world)


def _retried(world: World, job: Job) -> Callable[[], bool]:
    outcomes.record_retry(world.db, _claimed(world, job), code="c", reason="r", delay_s=1)
    return lambda: FIRST in _overtaken(world) and isinstance(_claim(world, job), Claim)


def _waiting(world: World, job: Job) -> Callable[[], bool]:
    world.runner.run(job.id, "create_jenkins_user")
    claim = _claimed(world, job, "assign_jenkins_role")
    outcomes.record_wait(world.db, claim, code="c", reason="r", retry_after_s=1)
    return lambda: (
        "assign_jenkins_role" in _overtaken(world) and isinstance(_claim(world, job, "assign_jenkins_role"), Claim)
    )


def _lost(world: World, job: Job) -> Callable[[], bool]:
    _claimed(world, job)
    return lambda: FIRST in _overtaken(world) and isinstance(_claim(world, job), Claim)


def _sent_again(world: World, job: Job) -> Callable[[], bool]:
    """It was sent often: long after the job has changed."""
    world.time.advance(world.back_s + 60)  # type: ignore[attr-defined] # set by the test
    assert dispatch.take_due(world.db, limit=100)
    return lambda: FIRST in _overtaken(world) and job is not None


def _slot(world: World, job: Job) -> Callable[[], bool]:
    world.limits = {**world.limits, GITLAB: UpstreamLimits(at_once=1)}
    _claimed(world, job)
    other = world.sign_up(f"other-of-{job.id[-12:]}")
    return lambda: slots_in_use(world) == 0 and isinstance(_claim(world, other), Claim)


def slots_in_use(world: World) -> int:
    return world.db.read(lambda session: slots.in_use(session, world.time())).get(GITLAB, 0)


def _probe(world: World, job: Job) -> Callable[[], bool]:
    assert job
    take_down(world.db, GITLAB, "no answer")
    return lambda: bool(world.db.read(lambda session: outages.due_probes(session, world.time())))


def _ramp(world: World, job: Job) -> Callable[[], bool]:
    outages.pause(world.db, GITLAB, by="chief", reason="Upgrade.", now=world.time())
    outages.resume(world.db, GITLAB, world.time())
    other = world.sign_up(f"other-of-{job.id[-12:]}")
    return lambda: all(isinstance(_claim(world, each), Claim) for each in (job, other))  # not one at a time


def _rate(world: World, job: Job) -> Callable[[], bool]:
    assert job
    slots.reserve_call(world.db, GITLAB, 0.1)
    return lambda: (slots.reserve_call(world.db, GITLAB, 0.1) - world.time()).total_seconds() < 1


@dataclass(frozen=True, kw_only=True)
class Case:
    """A time that is waited for. `prepare` makes it, and returns what says whether it counts as reached."""

    column: str
    prepare: Callable[[World, Job], Callable[[], bool]]

    def __str__(self) -> str:
        return f"{self.column}, {self.prepare.__name__.strip('_')}"


CASES = (
    Case(column="steps.nudge_at", prepare=_ready),
    Case(column="steps.nudge_at", prepare=_sent_again),
    Case(column="steps.due_at", prepare=_retried),
    Case(column="steps.due_at", prepare=_waiting),
    Case(column="steps.lease_until", prepare=_lost),
    Case(column="slots.until", prepare=_slot),
    Case(column="upstreams.look_at", prepare=_probe),
    Case(column="upstreams.open_since", prepare=_ramp),
    Case(column="upstreams.next_call_us", prepare=_rate),
)
# Times that nobody waits for, or whose delay costs nothing but time: they are shown, ordered by, or counted from.
ONLY_SHOWN = {
    "steps.parked_at", "steps.waiting_since", "steps.started_at", "steps.finished_at",
    "upstreams.down_since", "upstreams.paused_at",
}  # fmt: skip


def test_every_time_that_schedules_is_in_the_table() -> None:
    tables: tuple[type[Base], ...] = (Step, Slot, UpstreamStatus)
    columns = {
        f"{table.__tablename__}.{column.name}"
        for table in tables
        for column in table.__table__.columns
        if isinstance(column.type, UtcDateTime | DateTime)
    }
    assert columns == ({case.column for case in CASES} - {"upstreams.next_call_us"}) | ONLY_SHOWN


@pytest.mark.parametrize("back_s", [240, 3 * 3600])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_was_due_before_the_clock_was_set_back_is_due(
    world: World, new_name: NewName, case: Case, back_s: int
) -> None:
    world.back_s = back_s  # type: ignore[attr-defined] # for what has to be older
    job = world.sign_up(new_name("ada"))
    is_reached = case.prepare(world, job)

    world.time.advance(-back_s)
    try:
        assert is_reached()
    finally:
        world.time.advance(back_s)  # the harbour of the other tests has the same clock


def test_nothing_that_is_due_later_is_taken_while_the_clock_is_right(world: World, new_name: NewName) -> None:
    ready, retried, running = (world.sign_up(new_name("ada")) for _ in range(3))
    outcomes.record_retry(world.db, _claimed(world, retried), code="c", reason="r", delay_s=500)
    _claimed(world, running)
    for _ in range(8):
        assert dispatch.take_overtaken(world.db, limit=100) == []
        world.time.advance(1)
        dispatch.take_due(world.db, limit=100)
    assert isinstance(_claim(world, retried), ClaimRefused)
    assert ready

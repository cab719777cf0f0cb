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

from common.admission import outages, refusals, slots
from common.admission.outages import Hold
from common.admission.refusals import Cause
from common.admission.slots import UpstreamLimits
from common.database.models import Base, Job, Refusal
from common.database.types import UtcDateTime
from common.jobs import attempts, dispatch, ledger, outcomes
from common.jobs.claims import LEASE_S, Claim, ClaimRefused, renew
from common.notifications import queues
from common.notifications.queues import Target
from common.workflows import SIGNUP, Upstream
from worker import upstreams

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


def _parked(world: World, job: Job) -> Callable[[], bool]:
    """It is parked once the clock is set back: its job does not lie in the future any more, but its time does."""
    outcomes.record_retry(world.db, _claimed(world, job), code="c", reason="r", delay_s=1)

    def is_claimed_after_the_hold() -> bool:
        outages.pause(world.db, GITLAB, by="chief", reason="Upgrade.", now=world.time())
        is_held = isinstance(_claim(world, job), Hold)
        outages.resume(world.db, GITLAB, world.time())
        return is_held and isinstance(_claim(world, job), Claim)

    return is_claimed_after_the_hold


def _lost(world: World, job: Job) -> Callable[[], bool]:
    """Whether its worker is lost, nobody knows before it has had the time to renew its claim."""
    _claimed(world, job)

    def is_taken_over_after_a_lease() -> bool:
        is_sent, claimed_at_once = FIRST in _overtaken(world), _claim(world, job)
        world.time.advance(LEASE_S)
        is_sent_again = FIRST in {lane.steps[0] for lane in dispatch.take_due(world.db, limit=100)}
        return (
            is_sent
            and claimed_at_once is ClaimRefused.NOT_NOW
            and is_sent_again
            and isinstance(_claim(world, job), Claim)
        )

    return is_taken_over_after_a_lease


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


def _refusal(world: World, job: Job) -> Refusal:
    assert job
    login = _logins(world)[GITLAB]
    row = refusals.find(world.db, GITLAB, login)
    if row is None or row.since is None:
        assert refusals.hold(world.db, GITLAB, login, Cause(cause="c", remedy="r", is_write=False), world.time())
        row = refusals.find(world.db, GITLAB, login)
    assert row is not None
    return row


def _logins(world: World) -> refusals.Logins:
    return upstreams.logins(world.settings, world.context.vault)


def _check(world: World, job: Job) -> Callable[[], bool]:
    _refusal(world, job)
    return lambda: bool(world.db.read(lambda session: refusals.due(session, _logins(world), world.time())))


def _question(world: World, job: Job) -> Callable[[], bool]:
    assert job
    login = _logins(world)[GITLAB]
    assert refusals.claim_question(world.db, GITLAB, login, world.time())
    return lambda: refusals.claim_question(world.db, GITLAB, login, world.time()) is not None


def _trial(world: World, job: Job) -> Callable[[], bool]:
    refusals.begin_trial(world.db, _refusal(world, job), world.time())
    return lambda: refusals.is_trial_over(_refusal(world, job), world.time())


def _ramp_after_refusal(world: World, job: Job) -> Callable[[], bool]:
    assert refusals.end(world.db, _refusal(world, job), world.time(), is_accepted=True)
    other = world.sign_up(f"other-of-{job.id[-12:]}")
    return lambda: all(isinstance(_claim(world, each), Claim) for each in (job, other))


def _late_call(world: World, job: Job) -> Callable[[], bool]:
    """What may still arrive is waited for, as long as ever, from when the clock was set back."""
    lost = _claimed(world, job)
    _entry(world, lost).intend()
    outcomes.record_retry(world.db, lost, code="c", reason="r", delay_s=1)
    longest_s = SIGNUP.steps[0].limit_s + ledger.ARRIVAL_MARGIN_S

    def is_awaited_no_longer() -> bool:
        entry = _entry(world, _claimed(world, job))
        left_s = entry.may_arrive_for_s()
        world.time.advance(longest_s)
        has_arrived = entry.may_arrive_for_s() == 0
        world.time.advance(-longest_s)
        return 0 < left_s <= longest_s and has_arrived

    return is_awaited_no_longer


def _entry(world: World, claim: Claim) -> ledger.Entry:
    return ledger.Entry(world.db, claim, upstream="gitlab", kind="user", ref="ada")


def _claimed_target(world: World, job: Job) -> Callable[[], bool]:
    target = Target(name=job.id[-12:], host="ops.example.com")
    queues.prepare(world.db, [target])
    assert queues.claim(world.db, target)
    return lambda: queues.claim(world.db, target) is not None


def _resting_target(world: World, job: Job) -> Callable[[], bool]:
    """It rests for a minute: after a few minutes back, that is further ahead than the longest pause only for hours."""
    target = Target(name=job.id[-12:], host="ops.example.com")
    queues.prepare(world.db, [target])
    claimed = queues.claim(world.db, target)
    assert claimed is not None
    queues.rest(world.db, claimed, problem="no", pause_s=queues.LONGEST_PAUSE_S)
    return lambda: queues.is_due(world.db, target)


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
    Case(column="steps.due_at", prepare=_parked),
    Case(column="steps.lease_until", prepare=_lost),
    Case(column="slots.until", prepare=_slot),
    Case(column="upstreams.look_at", prepare=_probe),
    Case(column="upstreams.open_since", prepare=_ramp),
    Case(column="upstreams.next_call_us", prepare=_rate),
    Case(column="refusals.look_at", prepare=_check),
    Case(column="refusals.look_at", prepare=_question),
    Case(column="refusals.trial_since", prepare=_trial),
    Case(column="refusals.over_at", prepare=_ramp_after_refusal),
    Case(column="resources.updated_at", prepare=_late_call),
    Case(column="notification_targets.lease_until", prepare=_claimed_target),
    Case(column="notification_targets.retry_at", prepare=_resting_target),
)
# Times that nobody waits for, or whose delay costs nothing but time: they are shown, ordered by, or counted from.
ONLY_SHOWN = {
    "steps.parked_at", "steps.waiting_since", "steps.started_at", "steps.finished_at",
    "attempts.started_at", "attempts.finished_at", "events.at", "resources.created_at",
    "jobs.created_at", "jobs.started_at", "jobs.finished_at",
    "jobs.updated_at",  # in the future: all of its steps are due
    "upstreams.down_since", "upstreams.paused_at", "refusals.since",
    "refusals.accepted_at",  # in the future: as none
    "apps.created_at", "projects.created_at", "actions.at",
    "users.created_at", "users.admitted_at", "users.left_at",
    "users.email_confirmed_at",
    "invites.created_at",
    "sessions.created_at", "sessions.last_seen_at",
    "api_tokens.created_at", "api_tokens.last_used_at", "api_tokens.expires_at",
    "password_resets.created_at", "password_resets.expires_at",
    "signup_reviews.created_at", "signup_reviews.expires_at", "signup_reviews.decided_at",
    "signup_reviews.confirmed_at", "mails.expires_at",
    "mails.due_at",  # far in the future: due
    "notifications.at", "notifications.queued_at", "notifications.expires_at", "deliveries.expires_at",
    "notification_targets.failing_since", "workers.started_at", "workers.seen_at",
    "sessions.expires_at", "secrets.expires_at", "invites.expires_at", "kept_answers.expires_at", "tallies.expires_at",
}  # fmt: skip


def test_every_time_that_schedules_is_in_the_table() -> None:
    columns = {
        f"{table.name}.{column.name}"
        for table in Base.metadata.sorted_tables
        for column in table.columns
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


def test_a_worker_that_is_alive_keeps_its_claim(world: World, new_name: NewName) -> None:
    job = world.sign_up(new_name("ada"))
    claim = _claimed(world, job)

    world.time.advance(-3600)
    try:
        refused = [_claim(world, job)]
        world.time.advance(LEASE_S - 1)
        is_renewed = renew(world.db, claim)
        world.time.advance(2)
        refused.append(_claim(world, job))
    finally:
        world.time.advance(3600 - LEASE_S - 1)

    assert (is_renewed, refused) == (True, [ClaimRefused.NOT_NOW] * 2)


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

"""Every commit of an attempt is cut, before it reached the server and after it was done there: nobody sees which.

The rows that are there afterwards are those that are there when nothing is cut, and nothing is done twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import ColumnElement, event, make_url, select
from sqlalchemy.orm import Session
from support.chaos.relay import Relay
from support.world import Time, World

from common.database.engine import CommitUnknownError, Database
from common.database.models import App, Attempt, ConsoleChunk, Event, Job, Resource, Slot, Step, UpstreamStatus
from common.jobs import attempts, claims, interventions, ledger, outcomes
from common.jobs.claims import Claim, ClaimLostError, ClaimRefused
from common.jobs.ledger import Entry
from common.states import Outcome
from common.workflows import Upstream
from harbour.world import Harbour
from worker.context import StepContext
from worker.runner import NextAction

pytestmark = pytest.mark.parametrize("db_url", ["mariadb"], indirect=True)
MOMENTS = pytest.mark.parametrize("is_done", [False, True], ids=["before it arrived", "after it was done"])
STEP = "fork_helm"
NewName = Callable[[str], str]


@pytest.fixture
def relay(db_url: str) -> Iterator[Relay]:
    relay = Relay(make_url(db_url).port or 3306)
    yield relay
    relay.close()


@pytest.fixture
def db(db_url: str, relay: Relay, time: Time) -> Iterator[Database]:
    url = make_url(db_url).set(host="127.0.0.1", port=relay.port)
    database = Database(url.render_as_string(hide_password=False), now=time)
    yield database
    database.dispose()


@pytest.fixture
def world(db: Database, time: Time, harbour: Harbour) -> World:
    return World(db, time, harbour)


# -- each function ------------------------------------------------------------------------------------------------


@dataclass
class Deed:
    """What an attempt does to the database in one transaction, on a claim that was made before, or makes it."""

    world: World
    job: Job
    claimed: Claim | None = None

    @property
    def claim(self) -> Claim:
        assert self.claimed is not None
        return self.claimed

    @property
    def context(self) -> StepContext:
        return StepContext(self.claim, self.world.context)

    def entry(self) -> Entry:
        return self.context.resource("gitlab", "project", "dev/it")

    def take(self) -> Claim | object:
        made = attempts.claim(self.world.db, self.job.id, STEP, worker="w", limits=self.world.limits)
        if isinstance(made, Claim):
            self.claimed = made
        return made


def _fresh(_deed: Deed) -> None:
    pass


def _claimed(deed: Deed) -> None:
    assert isinstance(deed.take(), Claim)


def _intended(deed: Deed) -> None:
    _claimed(deed)
    deed.entry().intend()


def _settled(deed: Deed) -> None:
    _intended(deed)
    deed.entry().settle(outside_id="1", url=None, found=False)


def _polled(deed: Deed) -> None:
    _claimed(deed)
    outcomes.record_retry(deed.world.db, deed.claim, code="c", reason="r", delay_s=0)


def _expired(deed: Deed) -> None:
    _claimed(deed)
    deed.world.time.advance(claims.LEASE_S)


def _expired_and_closed(deed: Deed) -> None:
    _expired(deed)
    _closed(deed)


def _closed(deed: Deed) -> None:
    _set_paused(deed.world, deed.world.time())


def _set_paused(world: World, at: datetime | None) -> None:
    world.db.transaction(lambda session: setattr(session.get_one(UpstreamStatus, "gitlab"), "paused_at", at))


def _used_up(deed: Deed) -> None:
    _expired(deed)

    def use_up(session: Session) -> None:
        session.get_one(Step, deed.claim.step.id).forgiven = -deed.claim.plan.retry.attempts

    deed.world.db.transaction(use_up)


def _last_try(deed: Deed) -> None:
    def use_up(session: Session) -> None:
        step = session.scalars(select(Step).where(Step.job_id == deed.job.id, Step.name == STEP)).one()
        step.forgiven = -20

    deed.world.db.transaction(use_up)
    _claimed(deed)


Act = Callable[[Deed], object]
CASES: dict[str, tuple[Callable[[Deed], None], Act]] = {
    "claim a step whose turn it is": (_fresh, Deed.take),
    "claim the next attempt": (_polled, Deed.take),
    "claim a step whose lease is over": (_expired, Deed.take),
    "park a step": (_closed, Deed.take),
    "park a step whose lease is over": (_expired_and_closed, Deed.take),
    "fail a step that kills its workers": (_used_up, Deed.take),
    "record success": (_claimed, lambda it: outcomes.record_success(it.world.db, it.claim, {"project_id": 1})),
    "record a wait that may not be": (
        _claimed,
        lambda it: outcomes.record_wait(it.world.db, it.claim, code="c", reason="r", retry_after_s=1),
    ),
    "record a retry": (
        _claimed,
        lambda it: outcomes.record_retry(it.world.db, it.claim, code="c", reason="r", delay_s=1),
    ),
    "record a retry that does not count": (
        _claimed,
        lambda it: outcomes.record_retry(
            it.world.db, it.claim, code="c", reason="r", delay_s=1, unavailable=Upstream.GITLAB, enough=3
        ),
    ),
    "record the last failure": (
        _last_try,
        lambda it: outcomes.record_retry(it.world.db, it.claim, code="c", reason="r", delay_s=1),
    ),
    "record a failure": (_claimed, lambda it: outcomes.record_failure(it.world.db, it.claim, code="c", reason="r")),
    "release": (_claimed, lambda it: claims.release(it.world.db, it.claim)),
    "intend": (_claimed, lambda it: it.entry().intend()),
    "settle": (_intended, lambda it: it.entry().settle(outside_id="1", url=None, found=False)),
    "settle what was found": (_claimed, lambda it: it.entry().settle(outside_id="1", url=None, found=True)),
    "settle again": (_settled, lambda it: it.entry().settle(outside_id="2", url=None, found=True)),
    "withdraw an entry": (_intended, lambda it: it.entry().withdraw()),
    "withdraw all": (_intended, lambda it: ledger.withdraw(it.world.db, it.claim)),
    "mark gone": (_settled, lambda it: it.context.mark_gone(it.world.ledger(it.job)[0])),
    "keep a piece of the console": (
        _claimed,
        lambda it: it.context.keep_console("some text", after=(0, 0), upstream_next=9),
    ),
    "keep the image's tag": (_claimed, lambda it: it.context.keep_image_tag("1.0")),
    "release the name": (_claimed, lambda it: it.context.release_name()),
}


@pytest.mark.parametrize("case", CASES)
@MOMENTS
def test_a_commit_that_is_cut_changes_nothing_in_the_end(
    world: World, relay: Relay, new_name: NewName, case: str, is_done: bool
) -> None:
    prepare, act = CASES[case]
    whole, cut = (Deed(world, world.make_app(new_name("app"))) for _ in range(2))
    prepare(whole)
    expected, rows = act(whole), _rows(world, whole.job)
    _set_paused(world, None)
    world.db.transaction(lambda session: interventions.cancel(session, whole.job.id, world.time()))  # it may be queued
    prepare(cut)

    relay.lose_commits(1, is_done=is_done)
    result = act(cut)

    assert relay.commits_to_lose == 0, "no commit was cut"
    assert _rows(world, cut.job) == rows
    assert type(result) is type(expected)
    if isinstance(result, Claim):
        assert result.token == world.step(cut.job, STEP).claim_token


def _rows(world: World, job: Job) -> list[str]:
    """Return all that the database has of a job, but for what differs between any two jobs."""
    steps = select(Step.id).where(Step.job_id == job.id)
    tokens = select(Step.claim_token).where(Step.job_id == job.id)
    ours: list[tuple[type[Any], ColumnElement[bool]]] = [
        (Job, Job.id == job.id),
        (Step, Step.job_id == job.id),
        (Attempt, Attempt.step_id.in_(steps)),
        (Event, Event.job_id == job.id),
        (Resource, Resource.subject_id == job.subject_id),
        (ConsoleChunk, ConsoleChunk.job_id == job.id),
        (App, App.id == job.app_id),
        (Slot, Slot.holder.in_(tokens)),
    ]

    def read(session: Session) -> list[str]:
        return [
            f"{table.__tablename__} {_steady(table, row)}"
            for table, is_ours in ours
            for row in session.scalars(select(table).where(is_ours))
        ]

    return sorted(world.db.read(read))


ONLY_PRESENCE = {"claim_token", "holder", "claimed_name"}
DIFFERENT = {"id", "job_id", "step_id", "subject_id", "project_id", "created_by", "user_id", "app_id", "input"}

OF_TABLE: dict[type[Any], set[str]] = {App: {"name", "namespace"}, Slot: {"number"}}


def _steady(table: type[Any], row: Any) -> dict[str, Any]:
    different = (
        DIFFERENT | ({"name", "namespace"} if table is App else set()) | ({"number"} if table is Slot else set())
    )
    values = {column.key: getattr(row, column.key) for column in table.__table__.columns if column.key not in different}
    return {
        key: value is not None if key in ONLY_PRESENCE or isinstance(value, datetime) else value
        for key, value in values.items()
    }


# -- what is true of them -----------------------------------------------------------------------------------------


def test_a_claim_that_was_committed_unseen_is_taken_over_by_nobody_and_has_its_whole_lease(
    world: World, relay: Relay, new_name: NewName
) -> None:
    job = world.make_app(new_name("app"))
    relay.lose_commits(1, is_done=True)

    deed = Deed(world, job)
    deed.take()

    assert attempts.claim(world.db, job.id, STEP, worker="v", limits=world.limits) is ClaimRefused.NOT_NOW
    assert [attempt.worker for attempt in world.attempts(job, STEP)] == ["w"]
    assert claims.renew(world.db, deed.claim)


@MOMENTS
def test_an_outcome_of_a_claim_that_was_taken_over_is_refused_however_often_it_is_sent(
    world: World, relay: Relay, new_name: NewName, is_done: bool
) -> None:
    stale, heir = (Deed(world, job) for job in [world.make_app(new_name("app"))] * 2)
    _expired(stale)
    heir.take()

    relay.lose_commits(1, is_done=is_done)
    outcomes.record_success(world.db, heir.claim, {"project_id": 2})

    for _ in range(2):
        with pytest.raises(ClaimLostError):
            outcomes.record_success(world.db, stale.claim, {"project_id": 1})
    assert world.step(stale.job, STEP).output == {"project_id": 2}
    assert [each.outcome for each in world.attempts(stale.job, STEP)] == [Outcome.LOST, Outcome.SUCCEEDED]


def test_an_outcome_after_a_cancellation_is_refused(world: World, new_name: NewName) -> None:
    deed = Deed(world, world.make_app(new_name("app")))
    _claimed(deed)
    world.db.transaction(lambda session: interventions.cancel(session, deed.job.id, world.time()))

    with pytest.raises(ClaimLostError):
        outcomes.record_success(world.db, deed.claim, {})


def test_work_that_may_not_run_twice_is_not_repeated(world: World, relay: Relay) -> None:
    runs: list[Session] = []
    relay.lose_commits(1, is_done=True)

    def work(session: Session) -> None:
        runs.append(session)
        session.get_one(UpstreamStatus, "gitlab").failures += 1

    with pytest.raises(CommitUnknownError):
        world.db.transaction(work)

    assert len(runs) == 1


# -- a whole attempt ----------------------------------------------------------------------------------------------


@MOMENTS
@pytest.mark.parametrize("step", ["fork_source", "create_pipeline"])
def test_whichever_commit_of_an_attempt_is_cut_it_runs_once_and_keeps_its_claim(
    world: World, relay: Relay, new_name: NewName, step: str, is_done: bool
) -> None:
    commits: list[object] = []
    event.listen(world.db.engine, "commit", commits.append)
    app = world.make_app(new_name("app"))
    world.drive(app, until=step)
    commits.clear()
    world.runner.run(app.id, step)
    count = len(commits)
    assert count >= 4  # the claim, the intent, its settlement, the outcome

    for number in range(count):
        app = world.make_app(new_name("app"))
        world.drive(app, until=step)
        writes = world.write_count()
        _lose_commit(world, relay, number, is_done=is_done)

        result = world.runner.run(app.id, step)

        assert relay.commits_to_lose == 0, f"commit {number} was not cut"
        assert result.action is NextAction.GO_ON
        assert [each.outcome for each in world.attempts(app, step)] == [Outcome.SUCCEEDED]
        assert world.write_count() - writes == 1


def _lose_commit(world: World, relay: Relay, number: int, *, is_done: bool) -> None:
    """Cut the commit with this number, counted from 0 and from now."""
    left = [number]

    def committing(_connection: object) -> None:
        if left[0] == 0:
            relay.lose_commits(1, is_done=is_done)
        left[0] -= 1

    event.listen(world.db.engine, "commit", committing)

"""Claims, leases, waits, retries and the end of a job, on both databases, without any upstream."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session
from support.world import UNCHECKED_SIGNUP, Time

from common.database.engine import Database
from common.database.ids import new_id as make_id
from common.database.models import Attempt, Job, Resource, Secret, Step, Team, User
from common.jobs import attempts, claims, dispatch, lifecycle, outcomes
from common.jobs.claims import Claim, ClaimLostError, ClaimRefused
from common.jobs.lane_messages import LaneMessage
from common.jobs.ledger import Entry
from common.states import JobState, Outcome, Provenance, StepState
from common.workflows import PROVISION, Workflow, find_step

THREADS = 8


@pytest.fixture
def accept(db: Database, time: Time) -> Callable[[Workflow], Job]:
    db.transaction(lambda session: session.add(Team(id="dev")))

    def accept_one(flow: Workflow) -> Job:
        def work(session: Session) -> Job:
            user_id = make_id()
            login = f"u{user_id[-12:]}"
            session.add(
                User(
                    id=user_id, login=login, email=f"{login}@x.org", name="U", password_hash="-", team_id="dev",
                    created_at=time(),
                )
            )  # fmt: skip
            session.flush()
            job = lifecycle.accept(
                session, flow, now=time(), subject_id=user_id, team_id="dev", user_id=user_id, request_id="r", inputs={}
            )
            session.add(
                Secret(
                    job_id=job.id, purpose="password", key_id="k", sealed=b"s", expires_at=time() + timedelta(hours=24)
                )
            )
            return job

        return db.transaction(work)

    return accept_one


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(THREADS) as threads:
        yield threads


Accept = Callable[[Workflow], Job]


def _claim(db: Database, job: Job, step: str, worker: str = "w") -> Claim:
    claim = attempts.claim(db, job.id, step, worker=worker, limits={})
    assert isinstance(claim, Claim), claim
    return claim


def _step(db: Database, job: Job, name: str) -> Step:
    statement = select(Step).where(Step.job_id == job.id, Step.name == name)
    return db.read(lambda session: session.scalars(statement).one())


def _attempts(db: Database, job: Job, name: str) -> list[Attempt]:
    step_id = _step(db, job, name).id
    statement = select(Attempt).where(Attempt.step_id == step_id).order_by(Attempt.number)
    return list(db.read(lambda session: session.scalars(statement).all()))


def _state(db: Database, job: Job) -> JobState:
    return db.read(lambda session: session.get_one(Job, job.id)).state


def _succeed(db: Database, job: Job, *steps: str) -> None:
    for step in steps:
        outcomes.record_success(db, _claim(db, job, step), {})


def test_of_many_claims_at_once_one_is_granted(db: Database, accept: Accept, pool: ThreadPoolExecutor) -> None:
    for _ in range(5):
        job, together = accept(PROVISION), Barrier(THREADS)

        def take(job: Job = job, together: Barrier = together) -> Claim | ClaimRefused:
            together.wait()
            return attempts.claim(db, job.id, "fork_source", worker="w", limits={})

        granted = [future.result() for future in [pool.submit(take) for _ in range(THREADS)]]

        assert Counter(type(claim) for claim in granted) == {Claim: 1, ClaimRefused: THREADS - 1}
        assert len(_attempts(db, job, "fork_source")) == 1


def test_lanes_that_settle_at_the_same_moment_end_the_job_once(
    db: Database, accept: Accept, pool: ThreadPoolExecutor
) -> None:
    for _ in range(5):
        job, together = accept(UNCHECKED_SIGNUP), Barrier(3)
        _succeed(db, job, "create_gitlab_user", "create_jenkins_user")
        last = [_claim(db, job, step) for step in ("join_gitlab_group", "assign_jenkins_role", "create_kibana_user")]

        def end(claim: Claim, together: Barrier = together) -> None:
            together.wait()
            outcomes.record_success(db, claim, {})

        for future in [pool.submit(end, claim) for claim in last]:
            future.result()

        assert _state(db, job) is JobState.SUCCEEDED


def test_a_step_whose_turn_has_not_come_cannot_be_claimed(db: Database, accept: Accept) -> None:
    job = accept(PROVISION)

    assert attempts.claim(db, job.id, "await_source", worker="w", limits={}) is ClaimRefused.NOT_NOW

    assert _state(db, job) is JobState.QUEUED


def test_a_finished_step_is_told_apart_from_a_running_one(db: Database, accept: Accept) -> None:
    job = accept(PROVISION)
    claim = _claim(db, job, "fork_source")
    assert attempts.claim(db, job.id, "fork_source", worker="v", limits={}) is ClaimRefused.NOT_NOW

    outcomes.record_success(db, claim, {})

    assert attempts.claim(db, job.id, "fork_source", worker="v", limits={}) is ClaimRefused.DONE


def test_an_unknown_job_or_step_is_refused(db: Database, accept: Accept) -> None:
    job = accept(PROVISION)

    assert attempts.claim(db, make_id(), "fork_source", worker="w", limits={}) is ClaimRefused.UNKNOWN
    assert attempts.claim(db, job.id, "no_such_step", worker="w", limits={}) is ClaimRefused.UNKNOWN


def test_a_lease_that_ran_out_can_be_claimed_and_the_first_claim_records_nothing(
    db: Database, accept: Accept, time: Time
) -> None:
    job = accept(PROVISION)
    zombie = _claim(db, job, "fork_source", worker="zombie")
    time.advance(claims.LEASE_S)

    heir = _claim(db, job, "fork_source", worker="heir")

    for record in (
        lambda: outcomes.record_success(db, zombie, {"by": "zombie"}),
        lambda: outcomes.record_retry(db, zombie, code="c", reason="r", delay_s=1),
        lambda: outcomes.record_wait(db, zombie, code="c", reason="r", retry_after_s=1),
        lambda: outcomes.record_failure(db, zombie, code="c", reason="r"),
        lambda: Entry(db, zombie, upstream="gitlab", kind="project", ref="x").intend(),
    ):
        with pytest.raises(ClaimLostError):
            record()
    outcomes.record_success(db, heir, {"by": "heir"})
    assert _step(db, job, "fork_source").output == {"by": "heir"}
    assert [attempt.outcome for attempt in _attempts(db, job, "fork_source")] == [Outcome.LOST, Outcome.SUCCEEDED]


def test_the_fence_closes_when_the_lease_is_over_even_if_nobody_else_came(
    db: Database, accept: Accept, time: Time
) -> None:
    claim = _claim(db, accept(PROVISION), "fork_source")
    time.advance(claims.LEASE_S)

    with pytest.raises(ClaimLostError):
        Entry(db, claim, upstream="gitlab", kind="project", ref="x").intend()


def test_a_step_that_kills_every_worker_fails_in_the_end(db: Database, accept: Accept, time: Time) -> None:
    job = accept(PROVISION)
    plan = find_step("provision", "fork_source")
    assert plan is not None
    for _ in range(plan.retry.attempts):
        _claim(db, job, "fork_source")
        time.advance(claims.LEASE_S)

    assert attempts.claim(db, job.id, "fork_source", worker="w", limits={}) is ClaimRefused.OVER

    step = _step(db, job, "fork_source")
    assert (step.state, step.code) == (StepState.FAILED, "worker_lost")
    assert len(_attempts(db, job, "fork_source")) == plan.retry.attempts


def test_a_wait_uses_no_attempt_and_ends_at_its_deadline(db: Database, accept: Accept, time: Time) -> None:
    job = accept(PROVISION)
    _succeed(db, job, "fork_helm")
    began = time()
    while True:
        claim = _claim(db, job, "await_helm")
        if outcomes.record_wait(db, claim, code="not_yet", reason="copying", retry_after_s=80) is StepState.FAILED:
            break
        due_at = _step(db, job, "await_helm").due_at
        assert due_at is not None
        assert attempts.claim(db, job.id, "await_helm", worker="early", limits={}) is ClaimRefused.NOT_NOW
        time.advance((due_at - time()).total_seconds())

    assert (time() - began).total_seconds() == 600
    step = _step(db, job, "await_helm")
    assert (step.code, step.attempts) == ("wait_timed_out", 1)
    (attempt,) = _attempts(db, job, "await_helm")
    assert attempt.polls == 8


def test_a_stumble_is_tried_again_when_due_and_fails_when_attempts_are_used_up(
    db: Database, accept: Accept, time: Time
) -> None:
    job = accept(PROVISION)
    state = StepState.RETRYING
    while state is StepState.RETRYING:
        claim = _claim(db, job, "fork_source")
        state = outcomes.record_retry(db, claim, code="upstream_unavailable", reason="GitLab is away.", delay_s=3)
        assert attempts.claim(db, job.id, "fork_source", worker="early", limits={}) in (
            ClaimRefused.NOT_NOW,
            ClaimRefused.OVER,
        )
        time.advance(3)

    tried = _attempts(db, job, "fork_source")
    assert len(tried) == 12
    assert {attempt.outcome for attempt in tried} == {Outcome.TRANSIENT}
    assert _step(db, job, "fork_source").reason == "GitLab is away. Gave up after 12 attempts."


def test_a_failed_lane_does_not_stop_the_other_and_the_job_fails_when_both_have_settled(
    db: Database, accept: Accept
) -> None:
    job = accept(PROVISION)
    outcomes.record_failure(db, _claim(db, job, "fork_source"), code="conflict", reason="not ours")

    assert _state(db, job) is JobState.RUNNING
    _succeed(db, job, "fork_helm", "await_helm", "register_repository")
    assert _state(db, job) is JobState.RUNNING
    _succeed(db, job, "create_application")

    assert _state(db, job) is JobState.FAILED
    assert _step(db, job, "await_source").state is StepState.PENDING


def test_the_secret_is_wiped_with_the_last_step_that_needs_it(db: Database, accept: Accept) -> None:
    job = accept(UNCHECKED_SIGNUP)

    def is_kept() -> bool:
        return db.read(lambda session: session.get(Secret, (job.id, "password"))) is not None

    _succeed(db, job, "create_kibana_user", "create_gitlab_user", "join_gitlab_group")
    assert is_kept()
    _succeed(db, job, "create_jenkins_user")

    assert not is_kept()


def test_a_secret_that_nobody_came_for_is_deleted_after_a_day(db: Database, accept: Accept, time: Time) -> None:
    job = accept(UNCHECKED_SIGNUP)
    time.advance(24 * 3600)

    dispatch.delete_expired(db)

    assert db.read(lambda session: session.get(Secret, (job.id, "password"))) is None


def test_what_is_due_goes_to_one_clock_only(db: Database, accept: Accept, time: Time, pool: ThreadPoolExecutor) -> None:
    accepted = [accept(PROVISION) for _ in range(10)]
    assert dispatch.take_due(db, limit=100) == []
    time.advance(lifecycle.RESEND_S)
    together = Barrier(THREADS)

    def tick() -> list[LaneMessage]:
        together.wait()
        return dispatch.take_due(db, limit=100)

    taken = [lane for future in [pool.submit(tick) for _ in range(THREADS)] for lane in future.result()]

    assert Counter((lane.job_id, lane.steps[0]) for lane in taken) == {
        (job.id, head): 1 for job in accepted for head in ("fork_source", "fork_helm")
    }


def test_a_message_that_nobody_acts_on_is_sent_again_ever_more_rarely(db: Database, accept: Accept, time: Time) -> None:
    accept(PROVISION)
    pauses = []
    for _ in range(8):
        waited = 0
        while not dispatch.take_due(db, limit=10):
            time.advance(1)
            waited += 1
        pauses.append(waited)

    assert pauses == [5, 5, 10, 20, 40, 80, 160, 320]


def test_the_clock_sends_the_rest_of_the_lane_from_the_step_that_is_due(
    db: Database, accept: Accept, time: Time
) -> None:
    job = accept(PROVISION)
    _succeed(db, job, "fork_source")
    _claim(db, job, "fork_helm")
    time.advance(lifecycle.RESEND_S)

    (lane,) = dispatch.take_due(db, limit=10)

    assert lane.steps == ("await_source", "open_to_developers", "create_pipeline")


def test_a_job_finishes_on_the_steps_it_began_with(db: Database, accept: Accept, time: Time) -> None:
    shorter = Workflow(name="provision", title="An older plan", lanes=(PROVISION.lanes[1],))
    job = accept(shorter)

    _succeed(db, job, "fork_helm", "await_helm", "register_repository", "create_application")

    assert _state(db, job) is JobState.SUCCEEDED
    assert db.read(lambda session: session.get_one(Job, job.id)).finished_at == time()


def test_every_change_of_a_job_changes_its_version(db: Database, accept: Accept) -> None:
    job = accept(PROVISION)
    versions = [job.version]

    def version() -> int:
        return db.read(lambda session: session.get_one(Job, job.id)).version

    claim = _claim(db, job, "fork_source")
    versions.append(version())
    outcomes.record_retry(db, claim, code="c", reason="r", delay_s=0)
    versions.append(version())
    _succeed(db, job, "fork_source")
    versions.append(version())

    assert versions == sorted(set(versions))


def _provenance(db: Database) -> Provenance:
    return db.read(lambda session: session.scalars(select(Resource)).one()).provenance


@pytest.mark.parametrize(
    ("intended", "found", "provenance"),
    [
        (True, False, Provenance.CREATED),
        (True, True, Provenance.CREATED),  # an earlier attempt made it and its answer was lost
        (False, True, Provenance.ADOPTED),
    ],
)
def test_the_ledger_tells_what_we_made_from_what_we_found(
    db: Database, accept: Accept, intended: bool, found: bool, provenance: Provenance
) -> None:
    entry = Entry(db, _claim(db, accept(PROVISION), "fork_source"), upstream="gitlab", kind="project", ref="dev/x")
    if intended:
        entry.intend()
        assert _provenance(db) is Provenance.INTENDED

    entry.settle(outside_id="1", url="http://gitlab/dev/x", found=found)

    assert _provenance(db) is provenance


def test_what_was_adopted_stays_adopted(db: Database, accept: Accept) -> None:
    entry = Entry(db, _claim(db, accept(PROVISION), "fork_source"), upstream="gitlab", kind="project", ref="dev/x")
    entry.settle(outside_id="1", url=None, found=True)
    entry.settle(outside_id="2", url=None, found=True)

    assert _provenance(db) is Provenance.ADOPTED

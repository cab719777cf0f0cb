"""No upstream gets more than its share, and one that is down or paused costs no job anything but time."""

from __future__ import annotations

import threading
import time as clock
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import update
from support.workers import Workers
from support.world import Time, World

from common import workflows
from common.admission import outages
from common.admission import slots as traffic
from common.admission.outages import Hold, HoldCode
from common.admission.slots import Limits, UpstreamLimits
from common.database.engine import Database
from common.database.models import Job, Slot, Step, UpstreamStatus
from common.errors import Transient
from common.jobs import attempts, dispatch, interventions, outcomes
from common.jobs.claims import Claim, ClaimRefused
from common.jobs.lane_messages import LaneMessage
from common.states import JobState, Outcome, StepState
from common.workflows import Upstream
from harbour.faults import Fault
from worker import upstreams
from worker.outage_probe import OutageProbe
from worker.rate_limit import RateLimiter
from worker.runner import NextAction, Runner
from worker.upstreams.http import Deadline

NewName = Callable[[str], str]
GITLAB, JENKINS = Upstream.GITLAB, Upstream.JENKINS
OUTAGE_S = 300


@pytest.fixture
def watched(world: World) -> World:
    """A world whose runner notices when an upstream does not answer."""
    world.context = type(world.context)(
        db=world.db,
        settings=world.settings.model_copy(update={"outage_after": 3}),
        catalog=world.context.catalog,
        vault=world.context.vault,
    )
    world.runner = world.runner_named("watched")
    return world


@pytest.fixture
def lookout(world: World) -> OutageProbe:
    return OutageProbe(world.db, upstreams.open_connections(world.settings))


def _gate(world: World, upstream: Upstream = GITLAB) -> UpstreamStatus:
    return world.db.read(lambda session: outages.read(session)[upstream])


def _share(world: World, upstream: Upstream, at_once: int) -> Runner:
    """Return a runner that gives an upstream so much at once."""
    world.limits = {**world.limits, upstream: UpstreamLimits(at_once=at_once)}
    return world.runner_named("sharing")


def _claim(world: World, job: Job, step: str) -> Claim | Hold | ClaimRefused:
    return attempts.claim(world.db, job.id, step, worker="w", limits=world.limits)


def _due(world: World) -> list[LaneMessage]:
    return dispatch.take_due(world.db, limit=100)


def _parked(world: World) -> list[LaneMessage]:
    return dispatch.take_parked(world.db, world.limits)


def _sign_ups(world: World, new_name: NewName, count: int) -> list[Job]:
    return [world.sign_up(new_name("ada")) for _ in range(count)]


# -- shares -------------------------------------------------------------------------------------------------------


def test_more_than_its_share_is_never_at_work_on_an_upstream(world: World, new_name: NewName) -> None:
    world.runner = _share(world, GITLAB, 2)
    accepted = _sign_ups(world, new_name, 8)
    running, most = 0, 0
    changed = threading.Condition()
    inner = world.steps["signup.create_gitlab_user"]

    def counted(*arguments):  # type: ignore[no-untyped-def] # a step's
        nonlocal running, most
        with changed:
            running += 1
            most = max(most, running)
            changed.notify_all()
            changed.wait_for(lambda: running > 2, timeout=0.1)  # whoever may come has the time to
        try:
            return inner(*arguments)
        finally:
            with changed:
                running -= 1

    world.runner = Runner(
        world.context, world.clients, {**world.steps, "signup.create_gitlab_user": counted}, world.limits, worker="w"
    )
    workers = Workers(world, slots=12)
    workers.run_due()
    world.time.advance(5)
    workers.run_due()
    workers.close()

    assert most <= 2
    assert {world.job(job).state for job in accepted} == {JobState.SUCCEEDED}


def test_its_whole_share_may_be_at_work_on_an_upstream(world: World, new_name: NewName) -> None:
    _share(world, GITLAB, 2)
    first, second, third = _sign_ups(world, new_name, 3)

    assert isinstance(_claim(world, first, "create_gitlab_user"), Claim)
    assert isinstance(_claim(world, second, "create_gitlab_user"), Claim)
    assert isinstance(_claim(world, third, "create_gitlab_user"), Hold)


def test_what_came_first_goes_first_and_nobody_passes_those_in_line(world: World, new_name: NewName) -> None:
    _share(world, GITLAB, 1)
    first, second, third, late = _sign_ups(world, new_name, 4)

    at_work = _claim(world, first, "create_gitlab_user")
    assert isinstance(at_work, Claim)
    for job in (second, third):
        held = _claim(world, job, "create_gitlab_user")
        assert isinstance(held, Hold)
        assert held.code is HoldCode.BUSY
        world.time.advance(1)
    outcomes.record_success(world.db, at_work, {})

    assert isinstance(_claim(world, late, "create_gitlab_user"), Hold)  # the slot is free, but others wait for it
    sent = _parked(world)
    assert [lane.job_id for lane in sent] == [second.id]
    assert _parked(world) == []  # it is about to arrive
    assert isinstance(_claim(world, second, "create_gitlab_user"), Claim)


def test_a_parked_step_whose_message_is_lost_is_sent_again(world: World, new_name: NewName) -> None:
    _share(world, GITLAB, 1)
    first, second = _sign_ups(world, new_name, 2)
    at_work = _claim(world, first, "create_gitlab_user")
    _claim(world, second, "create_gitlab_user")
    assert isinstance(at_work, Claim)
    outcomes.record_failure(world.db, at_work, code="rejected", reason="No.")
    _parked(world)

    world.time.advance(5)

    assert (second.id, "create_gitlab_user") in {(lane.job_id, lane.steps[0]) for lane in _due(world)}


def test_what_a_worker_of_the_version_before_leaves_marked_is_in_nobodys_way(world: World, new_name: NewName) -> None:
    """It knows nothing of parking: it does the step and leaves it marked."""
    _share(world, GITLAB, 1)
    first, *others = _sign_ups(world, new_name, 4)
    at_work = _claim(world, first, "create_gitlab_user")
    assert isinstance(at_work, Claim)
    for job in others:
        _claim(world, job, "create_gitlab_user")
    outcomes.record_failure(world.db, at_work, code="rejected", reason="No.")
    mark = update(Step).where(Step.parked_at.is_not(None)).values(state=StepState.SUCCEEDED)
    world.db.transaction(lambda session: session.execute(mark))

    (late,) = _sign_ups(world, new_name, 1)

    assert _parked(world) == []
    assert isinstance(_claim(world, late, "create_gitlab_user"), Claim)
    traffic.prepare(world.db, world.limits)  # the next worker that starts tidies up
    assert [world.step(job, "create_gitlab_user").parked_at for job in others] == [None] * 3


def test_comparisons_have_their_turn_among_those_that_wait_for_one_upstream(world: World, new_name: NewName) -> None:
    made = world.make_app(new_name("shop"))
    world.drive(made)
    _share(world, GITLAB, 1)
    earlier, *later = _sign_ups(world, new_name, 5)
    at_work = _claim(world, earlier, "create_gitlab_user")
    _claim(world, later[0], "create_gitlab_user")
    world.time.advance(1)
    drift = world.accept_for(made, "drift")
    assert isinstance(_claim(world, drift, "compare_app"), Hold)
    for job in later[1:]:
        world.time.advance(1)
        _claim(world, job, "create_gitlab_user")

    order = []
    for _ in range(3):
        assert isinstance(at_work, Claim)
        outcomes.record_failure(world.db, at_work, code="rejected", reason="No.")
        (lane,) = _parked(world)
        at_work = _claim(world, world.job_of(lane.job_id), lane.steps[0])
        order.append(lane.job_id)
    assert order == [later[0].id, drift.id, later[1].id]


def test_a_comparison_that_waits_for_a_paused_upstream_keeps_no_place_at_another(
    world: World, new_name: NewName, time: Time
) -> None:
    made = world.make_app(new_name("shop"))
    world.drive(made)
    _share(world, GITLAB, 1)
    drift = world.accept_for(made, "drift")
    outages.pause(world.db, JENKINS, by="chief", reason="Upgrade.", now=time())
    assert isinstance(_claim(world, drift, "compare_app"), Hold)
    first, second = _sign_ups(world, new_name, 2)
    at_work = _claim(world, first, "create_gitlab_user")
    _claim(world, second, "create_gitlab_user")
    assert isinstance(at_work, Claim)
    outcomes.record_failure(world.db, at_work, code="rejected", reason="No.")

    assert [lane.job_id for lane in _parked(world)] == [second.id]


def test_a_comparison_does_not_wait_for_an_upstream_that_it_does_not_read(
    world: World, new_name: NewName, time: Time
) -> None:
    made = world.make_app(new_name("shop"))
    world.drive(made)
    drift = world.accept_for(made, "drift")
    outages.pause(world.db, JENKINS, by="chief", reason="Upgrade.", now=time())
    assert isinstance(_claim(world, drift, "compare_app"), Hold)
    outages.pause(world.db, Upstream.ELASTICSEARCH, by="chief", reason="Upgrade.", now=time())
    outages.resume(world.db, JENKINS, time())

    assert [lane.job_id for lane in _parked(world)] == [drift.id]


def test_being_in_line_uses_no_attempt_and_says_why(world: World, new_name: NewName) -> None:
    _share(world, GITLAB, 1)
    first, second = _sign_ups(world, new_name, 2)
    _claim(world, first, "create_gitlab_user")

    _claim(world, second, "create_gitlab_user")

    step = world.step(second, "create_gitlab_user")
    assert (step.state, step.code, step.attempts, step.nudge_at) == (StepState.READY, "busy", 0, None)
    assert step.reason == "GitLab is at its concurrency limit; this step is queued."


def test_slots_of_a_dead_worker_are_free_when_its_lease_is_over(world: World, new_name: NewName) -> None:
    _share(world, GITLAB, 1)
    first, second = _sign_ups(world, new_name, 2)
    at_work = _claim(world, first, "create_gitlab_user")
    assert isinstance(at_work, Claim)

    assert dispatch.release_worker(world.db, "w").leases == 1
    world.time.advance(dispatch.LAST_CALL_S)

    assert isinstance(_claim(world, second, "create_gitlab_user"), Claim)


def test_a_lost_claim_gives_its_slot_back_when_its_work_has_ended(world: World, new_name: NewName) -> None:
    (job,) = _sign_ups(world, new_name, 1)

    def cancelled(*_: object) -> dict[str, object]:
        world.db.transaction(lambda session: interventions.cancel(session, job.id, world.time()))
        assert _taken(world, GITLAB) == 1  # the call may still be on its way
        return {}

    steps = {**world.steps, "signup.create_gitlab_user": cancelled}
    result = Runner(world.context, world.clients, steps, world.limits, worker="w").run(job.id, "create_gitlab_user")

    assert result.action is NextAction.NOT_OURS
    assert _taken(world, GITLAB) == 0


def _taken(world: World, upstream: Upstream) -> int:
    slots = world.db.read(lambda session: [slot for slot in session.query(Slot) if slot.upstream == upstream])
    return sum(slot.until > world.time() for slot in slots)


def test_a_step_calls_nobody_but_those_that_it_visits(world: World, new_name: NewName) -> None:
    signed, made = world.sign_up(new_name("ada")), world.make_app(new_name("shop"))
    for job in (signed, made):
        _assert_calls_are_declared(world, job)
    for kind in ("drift", "plan", "reconcile", "deprovision"):
        _assert_calls_are_declared(world, world.accept_for(made, kind))


def _assert_calls_are_declared(world: World, job: Job) -> None:
    """Run the job a step at a time."""
    for step in world.step_rows(job):
        before = {service.name: len(service.calls) for service in world.harbour.services}
        assert world.run_through(job, step.name).action is NextAction.GO_ON
        called = {s.name for s in world.harbour.services if any(c.kind == "api" for c in s.calls[before[s.name] :])}
        plan = workflows.find_step(job.kind, step.name)
        assert plan is not None
        assert called <= {visited.value for visited in plan.visits}, (step.name, called)


# -- rates --------------------------------------------------------------------------------------------------------


def test_every_worker_gets_its_own_moment_for_a_call(db_url: str, world: World, time: Time) -> None:
    """Four workers with connections of their own ask as fast as they can, while time stands still."""
    every_s, calls = 0.1, 15  # in all less than the farthest turn that a clock which was not set back can have given
    assert {status.next_call_us for status in world.db.read(outages.read).values()} == {0}

    def ask(_: int) -> list[float]:
        db = Database(db_url, now=time)
        turns = [(traffic.reserve_call(db, GITLAB, every_s) - time()).total_seconds() for _call in range(calls)]
        db.dispose()
        return turns

    with ThreadPoolExecutor(4) as pool:
        turns = sorted(turn_s for each in pool.map(ask, range(4)) for turn_s in each)

    first_s = traffic.COMMIT_US / 1e6
    assert turns == pytest.approx([first_s + number * every_s for number in range(4 * calls)], abs=1e-5)


def test_a_paced_call_waits_for_its_turn_and_never_beyond_its_deadline(world: World, db_url: str) -> None:
    db = Database(db_url)
    ways = upstreams.open_connections(world.settings, {GITLAB: RateLimiter(db, GITLAB, 4.0)})
    began = clock.monotonic()

    for _ in range(3):
        ways[GITLAB].send("GET", "api", "v4", "version")

    assert clock.monotonic() - began >= 2 / 4.0
    late = ways[GITLAB].within(Deadline.within(0.05))
    with pytest.raises(Transient, match="used up"):
        late.send("GET", "api", "v4", "version")
    db.dispose()


# -- outages ------------------------------------------------------------------------------------------------------


def _fail_three(world: World, new_name: NewName) -> list[Job]:
    """Let the upstream be away, and three steps find out."""
    world.harbour.gitlab.inject(Fault(kind="reset"))
    failed = _sign_ups(world, new_name, 3)
    for job in failed:
        assert world.runner.run(job.id, "create_gitlab_user").action is NextAction.LATER
    return failed


def test_after_three_silences_and_a_look_in_vain_nothing_goes_there(
    watched: World, lookout: OutageProbe, new_name: NewName
) -> None:
    _fail_three(watched, new_name)
    late = watched.sign_up(new_name("ada"))
    calls = len(watched.harbour.gitlab.calls)

    in_doubt = watched.runner.run(late.id, "create_gitlab_user")
    lookout.run()
    down = watched.runner.run(late.id, "create_gitlab_user")

    assert in_doubt.action is down.action is NextAction.LATER
    assert len(watched.harbour.gitlab.calls) == calls + 1  # the probe
    step = watched.step(late, "create_gitlab_user")
    assert (step.state, step.code, step.attempts) == (StepState.READY, "outage", 0)
    assert _gate(watched).down_since == watched.time()
    assert watched.runner.run(late.id, "create_kibana_user").action is NextAction.GO_ON  # others go on


def test_a_long_outage_fails_no_job_and_brings_no_storm(
    watched: World, lookout: OutageProbe, new_name: NewName
) -> None:
    accepted = _sign_ups(watched, new_name, 20)
    watched.harbour.gitlab.inject(Fault(kind="status", status=503))
    before = len(watched.harbour.gitlab.calls)
    workers = Workers(watched, slots=4)
    for _ in range(OUTAGE_S):
        _pass_second(watched, workers, lookout)
    during = len(watched.harbour.gitlab.calls) - before
    down_s = (watched.time() - (_gate(watched).down_since or watched.time())).total_seconds()

    watched.harbour.clear_faults()
    for _ in range(90):
        _pass_second(watched, workers, lookout)
    workers.close()

    assert down_s > OUTAGE_S - 30
    assert during <= 4 + 3 + OUTAGE_S / 15 + 5  # who was on the way, the first look, and one look in 15 seconds
    assert {watched.job(job).state for job in accepted} == {JobState.SUCCEEDED}
    used = [len(watched.attempts(job, "create_gitlab_user")) for job in accepted]
    assert max(used) <= 3
    assert sum(used) <= len(accepted) + 7


def _pass_second(world: World, workers: Workers, lookout: OutageProbe) -> None:
    world.time.advance(1)
    lookout.run()
    workers.run_due()
    lookout.run()  # a worker's is woken by the silence


def test_few_go_at_first_when_it_is_back_then_twice_as_many_every_few_seconds(
    watched: World, lookout: OutageProbe, new_name: NewName
) -> None:
    _fail_three(watched, new_name)
    lookout.run()
    waiting = _sign_ups(watched, new_name, 16)
    for job in waiting:
        watched.runner.run(job.id, "create_gitlab_user")
    assert _parked(watched) == []

    watched.harbour.clear_faults()
    watched.time.advance(outages.PROBE_PAUSES_S[0])
    lookout.run()

    sent = []
    for _ in range(4):
        lanes = _parked(watched)
        claims = [_claim(watched, watched.job_of(lane.job_id), lane.steps[0]) for lane in lanes]
        sent.append(sum(isinstance(claim, Claim) for claim in claims))
        for claim in claims:
            assert isinstance(claim, Claim)
            outcomes.record_success(watched.db, claim, {})
        watched.time.advance(traffic.RAMP_S)
    assert sent == [1, 2, 4, 8]


def test_a_wait_stands_still_during_an_outage(watched: World, lookout: OutageProbe, new_name: NewName) -> None:
    """The helm repository is waited for at most 30 s: not of an outage of ten minutes."""
    made = _waiting_for_helm(watched, new_name)
    _fail_three(watched, new_name)
    lookout.run()
    watched.time.advance(2)
    assert watched.runner.run(made.id, "await_helm").action is NextAction.LATER
    assert watched.step(made, "await_helm").code == "outage"

    watched.time.advance(600)
    watched.harbour.clear_faults()
    lookout.run()

    assert watched.run_through(made, "await_helm").action is NextAction.GO_ON


def test_a_call_that_only_one_job_fails_with_closes_nothing_and_uses_up_its_attempts(
    watched: World, lookout: OutageProbe, new_name: NewName
) -> None:
    login = new_name("ada")
    poisoned, other = watched.sign_up(login), watched.sign_up(new_name("bob"))
    watched.harbour.elasticsearch.inject(Fault(kind="status", status=503, path=f"user/{login}"))

    while watched.step(poisoned, "create_kibana_user").state is not StepState.FAILED:
        watched.runner.run(poisoned.id, "create_kibana_user")
        lookout.run()
        watched.time.advance(400)

    assert len(watched.attempts(poisoned, "create_kibana_user")) == 12
    assert watched.runner.run(other.id, "create_kibana_user").action is NextAction.GO_ON


def test_an_upstream_that_answers_looks_only_uses_up_attempts_and_closes_nothing(
    watched: World, lookout: OutageProbe, new_name: NewName
) -> None:
    accepted = _sign_ups(watched, new_name, 6)
    watched.harbour.gitlab.inject(Fault(kind="status", status=503, path="^/api/v4/users"))

    for _ in range(60):
        for lane in [*_due(watched), *_parked(watched)]:
            watched.runner.run(lane.job_id, lane.steps[0])
            lookout.run()
        watched.time.advance(60)

    tried = [len(watched.attempts(job, "create_gitlab_user")) for job in accepted]
    assert tried == [12] * 6
    assert {watched.step(job, "create_gitlab_user").state for job in accepted} == {StepState.FAILED}


def test_jenkins_that_is_starting_is_as_good_as_away(watched: World, lookout: OutageProbe, new_name: NewName) -> None:
    page = "<html>Please wait while Jenkins is getting ready to work ...</html>"
    watched.harbour.jenkins.inject(Fault(kind="status", status=503, body=page))
    for job in _sign_ups(watched, new_name, 3):
        watched.runner.run(job.id, "create_jenkins_user")

    lookout.run()

    assert _gate(watched, JENKINS).down_since is not None


def test_what_was_held_back_shows_why_it_waits_now(watched: World, lookout: OutageProbe, new_name: NewName) -> None:
    made = _waiting_for_helm(watched, new_name)
    _fail_three(watched, new_name)
    lookout.run()
    watched.time.advance(2)
    watched.runner.run(made.id, "await_helm")
    watched.harbour.clear_faults()
    watched.time.advance(10)
    lookout.run()
    assert isinstance(_claim(watched, watched.sign_up(new_name("ada")), "create_gitlab_user"), Hold)  # others are first
    _share(watched, GITLAB, 1)
    taken = update(Slot).values(holder="x", until=watched.time() + timedelta(seconds=1))
    watched.db.transaction(lambda session: session.execute(taken))

    assert isinstance(_claim(watched, made, "await_helm"), Hold)
    assert watched.step(made, "await_helm").code == "busy"
    watched.time.advance(1)
    assert isinstance(_claim(watched, made, "await_helm"), Claim)
    assert watched.step(made, "await_helm").code is None


def _waiting_for_helm(world: World, new_name: NewName) -> Job:
    made = world.make_app(new_name("shop"))
    world.run_through(made, "fork_helm")
    poll = _claim(world, made, "await_helm")
    assert isinstance(poll, Claim)
    outcomes.record_wait(world.db, poll, code="not_yet", reason="copying", retry_after_s=2)
    return made


def test_a_wait_stands_still_while_an_upstream_says_nothing(world: World, new_name: NewName) -> None:
    """An answer of 503 that says to come again in a minute is no minute of copying."""
    made = _waiting_for_helm(world, new_name)
    world.time.advance(2)
    unanswered = _claim(world, made, "await_helm")
    assert isinstance(unanswered, Claim)
    world.time.advance(20)
    outcomes.record_retry(
        world.db, unanswered, code="upstream_unavailable", reason="503", delay_s=60, unavailable=GITLAB, enough=0
    )
    world.time.advance(60)

    again = _claim(world, made, "await_helm")

    assert isinstance(again, Claim)
    state = outcomes.record_wait(world.db, again, code="not_yet", reason="copying", retry_after_s=2)
    assert state is StepState.WAITING


def test_a_clock_that_was_put_back_stops_nothing(world: World, new_name: NewName, time: Time) -> None:
    (job,) = _sign_ups(world, new_name, 1)
    outages.pause(world.db, GITLAB, by="chief", reason="Upgrade.", now=time())
    world.runner.run(job.id, "create_gitlab_user")
    later = time() + timedelta(seconds=60)
    outages.resume(world.db, GITLAB, later)

    assert [lane.job_id for lane in _parked(world)] == [job.id]


def test_an_answer_ends_the_row_of_silences(watched: World, new_name: NewName) -> None:
    watched.harbour.gitlab.inject(Fault(kind="reset", times=2))
    for job in _sign_ups(watched, new_name, 3):  # the third is answered
        watched.runner.run(job.id, "create_gitlab_user")

    assert (_gate(watched).failures, _gate(watched).look_at) == (0, None)


def test_one_worker_looks_and_another_one_when_that_dies_looking(watched: World, new_name: NewName) -> None:
    _fail_three(watched, new_name)
    now = watched.time()
    (due,) = watched.db.read(lambda session: outages.due_probes(session, now))

    taken = [outages.claim_probe(watched.db, due, now) for _ in range(2)]

    assert [probe is not None for probe in taken] == [True, False]
    watched.time.advance(outages.PROBE_LEASE_S)
    assert len(watched.db.read(lambda session: outages.due_probes(session, watched.time()))) == 1


def test_the_step_of_a_dead_worker_is_held_back_too(watched: World, lookout: OutageProbe, new_name: NewName) -> None:
    job = watched.sign_up(new_name("ada"))
    assert isinstance(_claim(watched, job, "create_gitlab_user"), Claim)
    _fail_three(watched, new_name)
    lookout.run()
    watched.time.advance(60)

    held = watched.runner.run(job.id, "create_gitlab_user")

    step = watched.step(job, "create_gitlab_user")
    assert (held.action, step.state, step.code, step.claim_token) == (
        NextAction.LATER,
        StepState.RETRYING,
        "outage",
        None,
    )
    assert [attempt.outcome for attempt in watched.attempts(job, "create_gitlab_user")] == [Outcome.LOST]


# -- pauses -------------------------------------------------------------------------------------------------------


def test_a_paused_upstream_is_left_alone_until_it_is_resumed(world: World, new_name: NewName, time: Time) -> None:
    job = world.sign_up(new_name("ada"))
    outages.pause(world.db, JENKINS, by="chief", reason="Upgrade to 2.541.", now=time())
    before = len(world.harbour.jenkins.calls)

    assert world.runner.run(job.id, "create_jenkins_user").action is NextAction.LATER
    step = world.step(job, "create_jenkins_user")
    assert (step.code, step.reason) == ("paused", "Jenkins is paused by chief: Upgrade to 2.541.")
    assert len(world.harbour.jenkins.calls) == before
    assert _parked(world) == []

    outages.resume(world.db, JENKINS, time())
    assert [lane.job_id for lane in _parked(world)] == [job.id]
    assert world.runner.run(job.id, "create_jenkins_user").action is NextAction.GO_ON


def test_a_comparison_waits_for_everyone_whom_it_reads(world: World, new_name: NewName, time: Time) -> None:
    made = world.make_app(new_name("shop"))
    world.drive(made)
    drift = world.accept_for(made, "drift")
    outages.pause(world.db, JENKINS, by="chief", reason="Upgrade.", now=time())

    assert world.runner.run(drift.id, "compare_app").action is NextAction.LATER
    assert _parked(world) == []

    outages.resume(world.db, JENKINS, time())
    assert [lane.job_id for lane in _parked(world)] == [drift.id]


def test_what_is_parked_can_be_cancelled_and_is_not_sent_any_more(world: World, new_name: NewName, time: Time) -> None:
    job = world.sign_up(new_name("ada"))
    outages.pause(world.db, GITLAB, by="chief", reason="Upgrade.", now=time())
    world.runner.run(job.id, "create_gitlab_user")

    world.db.transaction(lambda session: interventions.cancel(session, job.id, time()))
    outages.resume(world.db, GITLAB, time())

    assert _parked(world) == []
    assert world.job(job).state is JobState.CANCELLED


def test_limits_grow_with_the_settings_and_any_number_of_workers_may_prepare(db_url: str, world: World) -> None:
    more: Limits = {GITLAB: UpstreamLimits(at_once=20)}

    def prepare(_: int) -> None:
        db = Database(db_url)
        traffic.prepare(db, more)
        db.dispose()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(prepare, range(4)))

    slots = world.db.read(lambda session: [slot for slot in session.query(Slot) if slot.upstream == GITLAB])
    assert sorted(slot.number for slot in slots) == list(range(20))
    assert all(slot.until <= world.time() + timedelta(seconds=60) for slot in slots)

"""Operators hear of every job that ended and of every outage, once, in order, and nobody waits for them to listen."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from support.notifications import Answers, Receiver
from support.outages import take_down
from support.world import Time, World

from common.admission import outages, refusals
from common.admission.refusals import Cause
from common.database.engine import Database
from common.database.models import Delivery, Job, Notification
from common.jobs import interventions, outcomes
from common.jobs.attempts import claim
from common.jobs.claims import Claim
from common.notifications import outbox, queues
from common.notifications.outbox import RETENTION
from common.notifications.queues import Outbox, Target
from common.states import JobState, NotificationKind
from common.workflows import Upstream
from worker.notifications.dead_mans_switch import EVERY_S, DeadMansSwitch
from worker.notifications.dispatcher import Dispatcher
from worker.notifications.sender import Response
from worker.notifications.signature import Signer

NewName = Callable[[str], str]
OPS = Target(name="ops", host="ops.example.com")
CHAT = Target(name="chat", host="chat.example.com")
HOUR_S = 3600
DOWN = Response(problem="it cannot be reached")


@pytest.fixture
def announced(db: Database) -> Iterator[Outbox]:
    """Everything is announced, to one target."""
    outbox.announce(db, list(NotificationKind))
    queues.prepare(db, [OPS])
    return Outbox(db, [OPS])


def _dispatcher(db: Database, receiver: Receiver | Answers, target: Target = OPS) -> Dispatcher:
    return Dispatcher(db, target, "https://ops.example.com/x", receiver, Signer(["k" * 32]), jitter=lambda: 1.0)


def _cancelled(world: World, name: str) -> Job:
    """Let a job end at once."""
    job = world.sign_up(name)
    world.db.transaction(lambda session: interventions.cancel(session, job.id, world.db.now()))
    return job


def _count(db: Database, table: type[Notification | Delivery]) -> int:
    return db.read(lambda session: session.scalar(select(func.count()).select_from(table))) or 0


def _failed(world: World, job: Job, reason: str) -> None:
    claimed = claim(world.db, job.id, "create_gitlab_user", worker="w", limits=world.limits)
    assert isinstance(claimed, Claim)
    outcomes.record_failure(world.db, claimed, code="conflict", reason=reason)


def test_nothing_is_written_that_nobody_wants(world: World, new_name: NewName) -> None:
    _cancelled(world, new_name("ada"))
    outbox.announce(world.db, [NotificationKind.JOB_FAILED])
    _cancelled(world, new_name("ada"))

    assert _count(world.db, Notification) == 0


def test_what_is_rolled_back_is_not_announced(world: World, announced: Outbox, new_name: NewName) -> None:
    job = world.sign_up(new_name("ada"))

    def cancel_and_break(session: Session) -> None:
        interventions.cancel(session, job.id, world.db.now())
        raise LookupError

    with pytest.raises(LookupError):
        world.db.transaction(cancel_and_break)

    assert _count(world.db, Notification) == 0
    assert announced


def test_a_job_that_ends_says_how_and_why_even_if_it_was_retried_since(
    world: World, announced: Outbox, new_name: NewName
) -> None:
    receiver, job = Receiver(), world.sign_up(new_name("ada"))
    _failed(world, job, "It belongs to <somebody> else: “secret words of GitLab”.")
    for step in ("create_jenkins_user", "assign_jenkins_role", "create_kibana_user"):
        world.runner.run(job.id, step)
    assert world.job(job).state is JobState.FAILED
    world.db.transaction(lambda session: interventions.cancel(session, world.sign_up(new_name("b")).id, world.db.now()))
    announced.distribute()
    _dispatcher(world.db, receiver).run()

    failed, cancelled = receiver.said(receiver.accepted)
    (error,) = failed["data"]["errors"]
    assert (failed["type"], cancelled["type"]) == ("job.failed", "job.cancelled")
    assert (failed["data"]["job_id"], failed["data"]["kind"], failed["data"]["team"]) == (job.id, "signup", "dev")
    assert (error["step"], error["upstream"], error["code"]) == ("create_gitlab_user", "gitlab", "conflict")
    assert "‹somebody›" in error["reason"]
    assert "secret words" not in str(failed)
    assert failed["text"].startswith(f"Signup of {job.input['login']} failed: It belongs")


def test_a_job_that_succeeds_by_the_hot_path_is_announced(world: World, announced: Outbox, new_name: NewName) -> None:
    receiver, job = Receiver(), world.sign_up(new_name("ada"))
    assert world.drive(job).state is JobState.SUCCEEDED

    announced.distribute()
    _dispatcher(world.db, receiver).run()

    assert [each["type"] for each in receiver.said(receiver.accepted)] == ["job.succeeded"]


def test_an_outage_is_announced_when_it_begins_and_when_it_ends(world: World, announced: Outbox) -> None:
    receiver = Receiver()
    take_down(world.db, Upstream.GITLAB, "GitLab answered 503")
    world.time.advance(90)
    for due in world.db.read(lambda session: outages.due_probes(session, world.db.now())):
        probe = outages.claim_probe(world.db, due, world.db.now())
        assert probe is not None
        assert outages.mark_down(world.db, probe, "still", world.db.now())
    world.time.advance(30)
    for due in world.db.read(lambda session: outages.due_probes(session, world.db.now())):
        probe = outages.claim_probe(world.db, due, world.db.now())
        assert probe is not None
        assert outages.mark_up(world.db, probe, world.db.now())

    announced.distribute()
    _dispatcher(world.db, receiver).run()

    down, up = receiver.said(receiver.accepted)
    assert (down["type"], down["data"]["upstream"], down["data"]["reason"]) == (
        "upstream.down",
        "gitlab",
        "GitLab answered 503",
    )
    assert (up["type"], up["data"]["down_s"], up["text"]) == (
        "upstream.up",
        120,
        "GitLab answers again, after 120 s.",
    )


def test_a_refusal_of_our_account_is_announced_when_it_begins_and_when_it_ends(world: World, announced: Outbox) -> None:
    receiver, cause = Receiver(), Cause(cause="GitLab refuses Slipway's account", remedy="Renew it.", is_write=False)
    for _ in range(2):  # the second step that is refused changes nothing
        refusals.hold(world.db, Upstream.GITLAB, "login", cause, world.db.now())
    row = refusals.find(world.db, Upstream.GITLAB, "login")
    assert row is not None
    assert refusals.end(world.db, row, world.db.now(), is_accepted=True)

    announced.distribute()
    _dispatcher(world.db, receiver).run()

    refused, accepted = receiver.said(receiver.accepted)
    assert (refused["type"], accepted["type"]) == ("upstream.refused", "upstream.accepted")
    assert refused["text"] == "GitLab refuses Slipway's account. Steps there wait. Renew it."
    assert accepted["text"] == "GitLab accepts Slipway's account again."


def test_a_target_that_is_down_for_an_hour_loses_nothing_and_gets_it_once_and_in_order(
    world: World, announced: Outbox, time: Time, new_name: NewName
) -> None:
    """Whether it answers 500, is slow or is away is the same to the queue: `tests/unit/worker/notifications`."""
    began, jobs = time(), []
    receiver = Receiver(lambda: DOWN if (time() - began).total_seconds() < HOUR_S else Response())
    dispatcher = _dispatcher(world.db, receiver)

    for minute in range(80):
        if minute % 8 == 0:
            jobs.append(_cancelled(world, new_name("ada")).id)
        announced.distribute()
        dispatcher.run()
        time.advance(60)

    said = receiver.said(receiver.accepted)
    assert [each["data"]["job_id"] for each in said] == jobs
    assert len(set(receiver.accepted)) == len(receiver.accepted)
    assert all(len(bodies) == 1 for bodies in receiver.bodies.values()), "each attempt says the same"
    assert len(receiver.asked) - len(receiver.accepted) <= 10, "a target that is down is left alone"
    assert _count(world.db, Delivery) == 0


def test_no_job_waits_for_a_target_that_hangs(world: World, announced: Outbox, new_name: NewName) -> None:
    is_asked, is_over = threading.Event(), threading.Event()

    def hang() -> Response:
        is_asked.set()
        assert is_over.wait(30)
        return Response(problem="it did not answer within 10 s")

    _cancelled(world, new_name("ada"))
    announced.distribute()
    thread = threading.Thread(target=_dispatcher(world.db, Receiver(hang)).run)
    thread.start()
    assert is_asked.wait(30)
    try:
        later = _cancelled(world, new_name("ada"))  # would wait for a lock that the sender keeps
        assert world.job(later).state is JobState.CANCELLED
        announced.distribute()
        assert _count(world.db, Delivery) == 2
    finally:
        is_over.set()
        thread.join()


def test_only_one_worker_sends_to_a_target(world: World, announced: Outbox, new_name: NewName) -> None:
    _cancelled(world, new_name("ada"))
    announced.distribute()
    held = queues.claim(world.db, OPS)
    assert held is not None
    receiver = Receiver()

    _dispatcher(world.db, receiver).run()
    assert receiver.asked == []

    world.time.advance(queues.LEASE_S + 1)  # its worker died
    _dispatcher(world.db, receiver).run()
    due = queues.next_delivery(world.db, held)
    assert (len(receiver.accepted), due) == (1, None)


def test_each_target_has_a_queue_of_its_own(world: World, new_name: NewName) -> None:
    outbox.announce(world.db, list(NotificationKind))
    targets = [CHAT, OPS]
    _cancelled(world, new_name("ada"))
    Outbox(world.db, targets).distribute()
    chat, ops = Receiver(lambda: DOWN), Receiver()

    _dispatcher(world.db, chat, CHAT).run()
    _dispatcher(world.db, ops, OPS).run()

    assert (len(chat.accepted), len(ops.accepted), chat.asked) == (0, 1, ops.asked)


def test_an_insert_that_is_never_committed_delays_no_other(world: World, announced: Outbox, new_name: NewName) -> None:
    if world.db.engine.dialect.name == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    receiver = Receiver()
    with Session(world.db.engine) as frozen, frozen.begin():
        frozen.add(Notification(kind="job.failed", about={}, at=world.db.now(), expires_at=world.db.now()))
        frozen.flush()
        job = _cancelled(world, new_name("ada"))
        announced.distribute()
        frozen.rollback()
    _dispatcher(world.db, receiver).run()

    assert [each["data"]["job_id"] for each in receiver.said(receiver.accepted)] == [job.id]


def test_nothing_overtakes_what_another_worker_distributes(world: World, announced: Outbox, new_name: NewName) -> None:
    if world.db.engine.dialect.name == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    for name in ("ada", "bob"):
        _cancelled(world, new_name(name))
    with Session(world.db.engine) as other, other.begin():
        assert other.scalars(select(Notification).order_by(Notification.id).limit(1).with_for_update()).one()
        assert queues.distribute(world.db, [OPS]) == 0

    assert queues.distribute(world.db, [OPS]) == 2
    assert announced


def test_a_notification_that_cannot_be_composed_holds_up_no_other(
    world: World, announced: Outbox, new_name: NewName, caplog: pytest.LogCaptureFixture
) -> None:
    def add(session: Session) -> None:
        for kind in ("job.failed", "of.a.later.version"):
            session.add(Notification(kind=kind, about={}, at=world.db.now(), expires_at=world.db.now() + RETENTION))

    receiver = Receiver()
    world.db.transaction(add)
    job = _cancelled(world, new_name("ada"))
    for _ in range(2):
        announced.distribute()
    _dispatcher(world.db, receiver).run()

    assert [each["data"]["job_id"] for each in receiver.said(receiver.accepted)] == [job.id]
    assert caplog.text.count("cannot be composed") == 1
    left = select(Notification.kind).where(Notification.queued_at.is_(None))
    assert world.db.read(lambda session: session.scalars(left).all()) == ["of.a.later.version"]


def test_what_is_older_than_the_retention_is_dropped_aloud(world: World, announced: Outbox, new_name: NewName) -> None:
    _cancelled(world, new_name("ada"))
    announced.distribute()
    world.time.advance(RETENTION.total_seconds() + 60)
    late = _cancelled(world, new_name("ada"))
    announced.distribute()
    receiver = Receiver()

    _dispatcher(world.db, receiver).run()

    assert [each["data"]["job_id"] for each in receiver.said(receiver.asked)] == [late.id]
    world.time.advance(10 * 86_400)
    queues.delete_expired(world.db)
    assert (_count(world.db, Delivery), _count(world.db, Notification)) == (0, 0)


def test_a_target_that_asks_for_time_gets_it(world: World, announced: Outbox, new_name: NewName) -> None:
    _cancelled(world, new_name("ada"))
    announced.distribute()
    answers = Answers([Response(problem="it answered 429", retry_after_s=120), Response()])
    dispatcher = _dispatcher(world.db, answers)

    dispatcher.run()
    world.time.advance(119)
    dispatcher.run()
    assert len(answers.answers) == 1
    world.time.advance(2)
    dispatcher.run()
    assert answers.answers == []


class Monitor:
    """A dead man's switch, outside."""

    def __init__(self) -> None:
        self.beats = 0

    def get(self, _url: str) -> Response:
        self.beats += 1
        return Response()


def test_a_heartbeat_goes_out_each_minute_while_jobs_go_on(world: World, new_name: NewName) -> None:
    monitor = Monitor()
    switches = [DeadMansSwitch(world.db, "https://monitor.example.com/x", monitor) for _worker in range(2)]
    run = [partial(switch.run) for switch in switches]

    for _ in range(3):
        for each in run:
            each()
        world.time.advance(EVERY_S + 1)
    assert monitor.beats == 3

    world.sign_up(new_name("ada"))  # which nobody dispatches
    world.time.advance(120)
    for each in run:
        each()
    assert monitor.beats == 3

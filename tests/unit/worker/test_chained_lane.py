"""A lane that one message brought: what of its chain runs here, what is handed on, and what Flower is told of each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from celery._state import _task_stack  # what a worker does before it runs a task

from worker.chained_lane import ChainedLane
from worker.flower import TaskEvents
from worker.lane import Intake

JOB = "a-job"
NAMES = ("flow.first", "flow.second", "flow.third")


class Dispatcher:
    """What takes the events for Flower."""

    enabled = True

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, dict[str, Any]]] = []

    def send(self, event: str, *, uuid: str, **fields: Any) -> None:
        self.sent.append((event, uuid, fields))

    def take(self) -> list[tuple[str, str]]:
        taken = [(event, uuid) for event, uuid, _ in self.sent]
        self.sent.clear()
        return taken


def run(_job: str) -> None:
    """Do nothing."""


class Running:
    """The first task of a chain, as it runs in a worker."""

    def __init__(self) -> None:
        app = Celery("test", broker="memory://", set_as_current=False)
        self.events, self.dispatcher, self.intake = TaskEvents(), Dispatcher(), Intake()
        self.events._consumer = self  # noqa: SLF001 - set when a worker is ready
        self.event_dispatcher = self.dispatcher
        self.task = app.task(name=NAMES[0])(run)
        self.ids = ["second", "third"]
        links = zip(NAMES[1:], self.ids, strict=True)
        rest = [{"task": name, "args": [JOB], "options": {"task_id": task_id}} for name, task_id in links]
        self.task.push_request(id="head", root_id="head", chain=rest[::-1])
        _task_stack.push(self.task)
        self.lane = ChainedLane(self.task.request, JOB, self.intake, self.events)

    @property
    def left(self) -> list[str]:
        """Return the tasks that Celery would send now, in their order."""
        return [each["task"] for each in reversed(self.task.request.chain or [])]

    def end(self, event: str, **fields: Any) -> None:
        """Report the end of the message, as Celery does."""
        kind = self.events.request_class()
        request = kind.__new__(kind)
        request.id, request._eventer, request._task = "head", self.dispatcher, self.task  # noqa: SLF001 - see above
        request.send_event(event, **fields)


@pytest.fixture
def running() -> Iterator[Running]:
    made = Running()
    yield made
    _task_stack.pop()


def test_each_step_is_shown_as_the_task_that_it_is_in_the_chain(running: Running) -> None:
    running.lane.begin(NAMES[1])
    running.lane.begin(NAMES[2])
    received = [fields for event, _, fields in running.dispatcher.sent if event == "task-received"]
    running.end("task-succeeded", result=None, runtime=99.0)

    second, third = running.ids
    ((_, _, last),) = running.dispatcher.sent[-1:]
    assert last["runtime"] < 99
    assert running.dispatcher.take() == [
        ("task-succeeded", "head"), ("task-received", second), ("task-started", second),
        ("task-succeeded", second), ("task-received", third), ("task-started", third),
        ("task-succeeded", third),
    ]  # fmt: skip
    assert [(each["name"], each["args"], each["root_id"], each["parent_id"]) for each in received] == [
        (NAMES[1], "('a-job',)", "head", "head"), (NAMES[2], "('a-job',)", "head", second)
    ]  # fmt: skip
    assert running.left == []


def test_what_ends_a_message_is_shown_of_the_step_that_it_ended_with(running: Running) -> None:
    running.lane.begin(NAMES[1])
    running.dispatcher.sent.clear()

    running.events.refused("not now")
    running.end("task-retried", exception="later")

    assert running.dispatcher.take() == [("task-refused", running.ids[0]), ("task-retried", running.ids[0])]
    assert running.left == [NAMES[2]]


def test_a_message_of_one_step_is_shown_as_ever(running: Running) -> None:
    running.end("task-succeeded", result=None, runtime=1.0)

    assert running.dispatcher.sent == [("task-succeeded", "head", {"result": None, "runtime": 1.0})]


def test_a_step_of_a_queue_that_this_worker_does_not_take_from_is_left_to_celery(running: Running) -> None:
    running.intake.queues = {"gitlab"}

    assert running.lane.may_begin(NAMES[1], "gitlab")
    assert not running.lane.may_begin(NAMES[1], "jenkins")
    assert running.left == list(NAMES[1:])


def test_a_worker_that_is_stopping_begins_no_further_step(running: Running) -> None:
    assert running.lane.may_begin(NAMES[1], "gitlab")

    running.intake.close()

    assert not running.lane.may_begin(NAMES[1], "gitlab")
    assert running.left == list(NAMES[1:])


@pytest.mark.parametrize("chain", [None, [], "text", [3], [{}], [{"task": NAMES[1]}], [{"task": 3, "options": {}}]])
def test_whatever_is_in_a_message_instead_of_a_chain_goes_on_with_nothing(running: Running, chain: object) -> None:
    running.task.request.chain = chain

    assert not running.lane.may_begin(NAMES[1], "gitlab")


def test_only_the_step_that_is_next_in_the_database_goes_on(running: Running) -> None:
    assert not running.lane.may_begin(NAMES[2], "gitlab")

"""What Flower makes of the events of a task, in whatever order they arrive."""

from __future__ import annotations

from itertools import count

import pytest
from celery.events.state import State
from kombu.exceptions import OperationalError
from support.captured_telemetry import heard

from worker.flower import DescribedTask, HeartbeatRequest

ABOUT = "{'login': 'ada'}"
SENT = {"type": "task-sent", "hostname": "api", "kwargs": "{}", "queue": "gitlab"}
BEGUN = (
    {"type": "task-received", "hostname": "worker", "kwargs": "{}", "name": "signup.create_gitlab_user"},
    {"type": "task-started", "hostname": "worker"},
    {"type": "task-STARTED", "hostname": "worker", "kwargs": ABOUT},
)


@pytest.mark.parametrize("end", ["succeeded", "failed", "retried", "refused"])
@pytest.mark.parametrize("place", range(len(BEGUN) + 2))
def test_that_a_task_was_sent_is_told_late_and_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, place: int, end: str
) -> None:
    monkeypatch.setattr(State, "Task", DescribedTask)
    told = [*BEGUN, {"type": f"task-{end}", "hostname": "worker"}]
    state, clock = State(), count(1)

    for event in (*told[:place], SENT, *told[place:]):
        now = next(clock)
        state.event({**event, "uuid": "a", "clock": now, "timestamp": now, "local_received": now, "pid": 1})

    ends = {"succeeded": "SUCCESS", "failed": "FAILURE", "retried": "RETRY", "refused": "REFUSED"}
    task = state.tasks["a"]
    assert (task.state, task.kwargs, task.name) == (ends[end], ABOUT, "signup.create_gitlab_user")
    assert (task.queue, bool(task.sent)) == ("gitlab", True)


class Broadcasts:
    """An app whose broker is away as long as it is told."""

    def __init__(self) -> None:
        self.control = self
        self.is_away = True

    def broadcast(self, _command: str) -> None:
        if self.is_away:
            raise OperationalError("connection refused")


def test_flower_says_once_that_the_broker_is_away_however_often_it_asks() -> None:
    app = Broadcasts()
    request = HeartbeatRequest(app)  # type: ignore[arg-type] # as good

    with heard() as lines:
        for _ in range(100):
            request.send()
        app.is_away = False
        for _ in range(100):
            request.send()

    assert [line["event"] for line in lines] == ["broker_unreachable", "broker_reachable"]

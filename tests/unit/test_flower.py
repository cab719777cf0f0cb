"""What Flower makes of the events of a task, in whatever order they come."""

from __future__ import annotations

from itertools import count

import pytest
from celery.events.state import State, Task

from worker import flower

ABOUT = "{'login': 'ada'}"
SENT = {"type": "task-sent", "hostname": "api", "kwargs": "{}", "queue": "gitlab"}
OF_WORKER = (
    {"type": "task-received", "hostname": "worker", "kwargs": "{}", "name": "signup.create_gitlab_user"},
    {"type": "task-started", "hostname": "worker"},
    {"type": "task-STARTED", "hostname": "worker", "kwargs": ABOUT},
    {"type": "task-succeeded", "hostname": "worker", "runtime": 1.0, "result": "None"},
)


@pytest.mark.parametrize("place", range(len(OF_WORKER) + 1))
def test_that_a_task_was_sent_is_told_late_and_changes_nothing(monkeypatch: pytest.MonkeyPatch, place: int) -> None:
    monkeypatch.setattr(Task, "merge_rules", Task.merge_rules)
    flower.believe_workers()
    state, clock = State(), count(1)

    for event in (*OF_WORKER[:place], SENT, *OF_WORKER[place:]):
        now = next(clock)
        state.event({**event, "uuid": "a", "clock": now, "timestamp": now, "local_received": now, "pid": 1})

    task = state.tasks["a"]
    assert (task.state, task.kwargs, task.name) == ("SUCCESS", ABOUT, "signup.create_gitlab_user")
    assert task.queue == "gitlab"

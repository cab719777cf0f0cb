"""What Flower makes of the events of a task, in whatever order they arrive."""

from __future__ import annotations

from itertools import count

import pytest
from celery.events.state import State

from worker.flower import DescribedTask

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

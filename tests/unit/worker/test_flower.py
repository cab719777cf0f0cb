"""What Flower makes of the events of a task, in whatever order they come, and who reads its password."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import count

import pytest
from celery.events.state import State
from support.api import ENVIRONMENT
from support.checkout import ROOT

from worker.flower import DescribedTask

ABOUT = "{'login': 'ada'}"
SENT = {"type": "task-sent", "hostname": "api", "kwargs": "{}", "queue": "gitlab"}
BEGUN = (
    {"type": "task-received", "hostname": "worker", "kwargs": "{}", "name": "signup.create_gitlab_user"},
    {"type": "task-started", "hostname": "worker"},
    {"type": "task-STARTED", "hostname": "worker", "kwargs": ABOUT},
)
AS_A_WORKER = """
import sys
sys.argv = ["celery", "-A", "worker", "worker"]
import worker.celery
from flower.options import options
print(options.basic_auth)
"""


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


@pytest.mark.parametrize("logins", ["operator:canary", "no login"])
def test_a_worker_does_not_read_its_password(logins: str) -> None:
    settings = {**ENVIRONMENT, "DB_URL": "sqlite:////tmp/slipway.db", "FLOWER_BASIC_AUTH": logins}

    ended = subprocess.run(
        (sys.executable, "-c", AS_A_WORKER),
        cwd=ROOT, env={"PATH": os.environ["PATH"], **settings}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (ended.returncode, ended.stdout) == (0, "[]\n"), ended.stderr

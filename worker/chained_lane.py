"""The rest of a lane, as the chain in the message of the task that runs.

A step that runs without a message of its own is taken off the chain. Celery sends what is left when the task returns,
as it does with any chain: a step of a queue that this worker does not take from, one that has to wait for its upstream,
and whatever follows when the worker is stopping.
"""

from __future__ import annotations

import time
from typing import Any

from worker.flower import TaskEvents
from worker.lane import Intake


class ChainedLane:
    """The rest of a lane, for the runner (`worker.lane.Lane`). `request` is that of Celery's task."""

    def __init__(self, request: Any, job_id: str, intake: Intake, task_events: TaskEvents) -> None:
        self._request = request
        self._job_id = job_id
        self._intake = intake
        self._events = task_events
        self._began_s = time.monotonic()

    def may_begin(self, task: str, queue: str) -> bool:
        return self._following_id(task) is not None and self._intake.takes(queue)

    def begin(self, task: str) -> None:
        task_id = self._following_id(task)
        self._request.chain = self._request.chain[:-1]
        self._events.go_on(task, str(task_id), self._job_id, began_s=self._began_s)

    def _following_id(self, task: str) -> str | None:
        """Return the id of the next link if it is this task. None also for what is no chain: it is anybody's."""
        match self._request.chain:
            case [*_, {"task": str(name), "options": {"task_id": str(task_id)}}] if name == task:
                return task_id
            case _:
                return None

"""The rest of a lane, as the runner sees it: whether this process goes on with the next step after a success.

It does if the step's queue is one that the worker takes from, and the worker is not stopping. Otherwise the step
is handed on: by the rest of the lane's message, or by the clock.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

from common.jobs.lane_messages import LaneMessage, TaskMessage


class Lane(Protocol):
    """What comes after the step that runs. Used by the thread that runs it."""

    def may_begin(self, task: str, queue: str) -> bool:
        """Say whether this task of this queue is the next one, and may begin here and now. Asked in a transaction."""

    def begin(self, task: str) -> None:
        """Note that the step that ran has succeeded, and that this one is claimed and runs next."""


class OneStep:
    """No rest: whatever becomes of the step, nothing else is run."""

    def may_begin(self, _task: str, _queue: str) -> bool:
        return False

    def begin(self, _task: str) -> None:
        """Do nothing: no step follows."""


ONE_STEP = OneStep()


class LaneRest:
    """The rest of a lane that this process keeps in memory. `takes` says whether a task may begin here and now."""

    def __init__(self, lane: LaneMessage, takes: Callable[[TaskMessage], bool]) -> None:
        self._lane = lane
        self._takes = takes
        self._tasks = list(lane.tasks)

    @property
    def message(self) -> LaneMessage:
        """The steps that nobody has begun, for those who go on with them."""
        steps = self._lane.steps[len(self._lane.steps) - len(self._tasks) :]
        return LaneMessage(job_id=self._lane.job_id, kind=self._lane.kind, steps=steps)

    def next_step(self) -> str | None:
        """Take the next step off, if it may begin; None: it may not, or nothing is left."""
        steps = self.message.steps
        if not steps or not self._takes(self._tasks[0]):
            return None
        del self._tasks[0]
        return steps[0]

    def may_begin(self, task: str, _queue: str) -> bool:
        return bool(self._tasks) and self._tasks[0].name == task and self._takes(self._tasks[0])

    def begin(self, _task: str) -> None:
        del self._tasks[0]


class Intake:
    """What this worker takes: steps of the queues of its option `-Q`, none once it is stopping."""

    def __init__(self) -> None:
        self.queues: Collection[str] | None = None  # None: of all
        self._is_closed = False

    def takes(self, queue: str) -> bool:
        """Say whether a step of this queue may begin."""
        return not self._is_closed and (self.queues is None or queue in self.queues)

    def close(self) -> None:
        """Begin no further step. Those that run are not interrupted."""
        self._is_closed = True

"""Lanes that a worker runs without messages, on threads of its own: what keeps jobs going while the broker is away.

The clock takes from the database what is due, as always, and hands it over here instead of to the broker: never more
than there are free threads, so what is due waits in its rows, and other workers can take it. A claim is granted once,
so it does no harm when a message for the same step comes as well. Flower learns nothing of these steps.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy.exc import SQLAlchemyError

from common.database.engine import Database
from common.database.repeats import CommitUnknownError
from common.jobs import dispatch
from common.jobs.lane_messages import LaneMessage, TaskMessage
from worker.lane import Lane, LaneRest

log = logging.getLogger(__name__)

RunStep = Callable[[str, str, Lane], bool]  # with the job's id, the step's name, what follows; whether it succeeded


class DirectLanes:
    """`send` takes lanes as the publisher does; `end` when the worker begins to stop, `join` once it has stopped."""

    def __init__(
        self,
        db: Database,
        run: RunStep,
        *,
        threads: int,
        queues: Collection[str] | None = None,
        busy: Callable[[], int] = lambda: 0,
        on_room: Callable[[], None] = lambda: None,
    ) -> None:
        """`queues` None: all. `busy` says how many steps messages have brought; `on_room` is called after each lane."""
        self.queues = queues
        self._db = db
        self._run = run
        self._threads = threads
        self._busy = busy
        self._on_room = on_room
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="direct")  # its threads begin with the first lane
        self._lock = threading.Lock()
        self._running = 0
        self._is_ending = False

    @property
    def room(self) -> int:
        """Return how many lanes may be sent now: none when the worker is to stop."""
        return 0 if self._is_ending else max(0, self._threads - self._running - self._busy())

    def send(self, lanes: Iterable[LaneMessage]) -> int:
        """Begin as many lanes as there is room for, and return how many."""
        begun = 0
        for lane in lanes:
            if not self.room:
                break
            self._add(1)
            try:
                self._pool.submit(self._run_lane, lane)
            except RuntimeError:  # the worker has stopped meanwhile: the rest is put back
                self._add(-1)
                break
            begun += 1
        return begun

    def backlog(self) -> Collection[str]:
        """Return nothing: no lane waits here."""
        return ()

    def end(self) -> None:
        """Begin no lane and no further step. Steps that run are not interrupted."""
        self._is_ending = True

    def join(self) -> None:
        """Wait until the steps that run are over."""
        self.end()
        self._pool.shutdown()

    def _run_lane(self, lane: LaneMessage) -> None:
        try:
            self._run_steps(lane)
        except (SQLAlchemyError, CommitUnknownError):
            log.exception("database_failed")  # the rows say what is due, and when
        except Exception:  # as above; the thread is needed for others
            log.exception("direct_lane_failed", extra={"job_id": lane.job_id})
        finally:
            self._add(-1)
            self._on_room()

    def _run_steps(self, lane: LaneMessage) -> None:
        """Run step by step: `_run` goes on by itself as long as it can, and leaves to us what it has not begun."""
        rest = LaneRest(lane, self._takes)
        while (step := rest.next_step()) is not None:
            if not self._run(lane.job_id, step, rest):
                return
        if rest.message.steps:
            dispatch.put_back(self._db, [rest.message])  # for other workers

    def _takes(self, task: TaskMessage) -> bool:
        return not self._is_ending and (self.queues is None or task.queue in self.queues)

    def _add(self, lanes: int) -> None:
        with self._lock:
            self._running += lanes

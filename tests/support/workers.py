"""Slots that run what is due, a lane at a time, as a worker process does; and how long they were busy with it."""

from __future__ import annotations

import threading
import time as clock
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from common.database.engine import Database
from common.jobs.lane_messages import LaneMessage
from support.world import World
from worker.lane import LaneRest
from worker.runner import NextAction


class Workers:
    """`slots` threads. What a clock would send to a broker goes to them directly."""

    def __init__(self, world: World, *, slots: int) -> None:
        self._world = world
        self._pool = ThreadPoolExecutor(slots, thread_name_prefix="slot")
        self._running: set[Future[None]] = set()
        self._lock = threading.Lock()
        self.busy_s = 0.0  # by the clock on the wall: with what the upstreams and the machine make it wait for
        self.computing_s = 0.0  # by the processor's
        self.runs: dict[str, int] = defaultdict(int)

    @property
    def held(self) -> int:
        """Return how many lanes are in a slot, or wait for one."""
        return sum(not future.done() for future in self._running)

    def close(self) -> None:
        self._pool.shutdown()

    def send(self, lanes: list[LaneMessage]) -> int:
        self._running |= {self._pool.submit(self._run, lane) for lane in lanes}
        return len(lanes)

    def tick(self) -> int:
        """Do one round of the clock."""
        return self.send(self._world.due())

    def pause(self, at_most_s: float) -> None:
        """Return when nothing runs any more, or the time is over."""
        done, self._running = wait(self._running, timeout=at_most_s)
        for future in done:
            future.result()

    def run_due(self) -> None:
        """Run all that is due now, to the end."""
        while self.tick():
            self.pause(60)

    def pass_s(self, seconds: int) -> None:
        """Let that many seconds pass on the world's clock, and run in each what is due."""
        for _ in range(seconds):
            self._world.time.advance(1)
            self.run_due()

    def _run(self, lane: LaneMessage) -> None:
        began_s, computed_s = clock.perf_counter(), clock.thread_time()
        rest = LaneRest(lane, lambda _task: True)
        while (step := rest.next_step()) is not None:
            if self._world.runner.run(lane.job_id, step, rest).action is not NextAction.GO_ON:
                break
        with self._lock:
            self.busy_s += clock.perf_counter() - began_s
            self.computing_s += clock.thread_time() - computed_s
            self.runs[lane.kind] += len(lane.steps) - len(rest.message.steps)


@contextmanager
def counted_statements(db: Database) -> Iterator[list[str]]:
    """Yield a list that every statement sent to the database is added to."""
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    engines = db.engines
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", note)

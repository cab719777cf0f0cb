"""Background jobs with a delay, as GitLab runs them in Sidekiq."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable


class Background:
    """One thread that runs functions after their delay; functions that are pending when it stops never run."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._tie = itertools.count()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._is_busy = False

    def start(self) -> None:
        self._stopping = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        with self._changed:
            self._stopping = True
            self._due.clear()
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def after(self, delay_s: float, function: Callable[[], None]) -> None:
        with self._changed:
            heapq.heappush(self._due, (time.monotonic() + delay_s, next(self._tie), function))
            self._changed.notify_all()

    def settle(self) -> None:
        """Return when nothing is pending or running."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or not (self._due or self._is_busy))

    def _run(self) -> None:
        while (function := self._next()) is not None:
            function()

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            self._is_busy = False
            self._changed.notify_all()
            while not self._stopping:
                wait_s = self._due[0][0] - time.monotonic() if self._due else None
                if wait_s is not None and wait_s <= 0:
                    self._is_busy = True
                    return heapq.heappop(self._due)[2]
                self._changed.wait(wait_s)
        return None

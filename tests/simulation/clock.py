"""Virtual time: it stands still until the scheduler moves it."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

from harbour.gitlab.background import Background

BEGINNING = datetime(2031, 3, 1, 12, tzinfo=UTC)


class VirtualTime:
    """Seconds since the beginning, and what is to happen at which of them.

    Called, it is the database's clock: `jump` sets that one, and no other. Workers measure by `seconds`.
    """

    def __init__(self) -> None:
        self._tie = itertools.count()
        self.reset(0.0)

    def reset(self, seconds: float) -> None:
        self.seconds = seconds
        self.jumped_s = 0.0
        self.timers: list[tuple[float, int, Callable[[], object]]] = []

    def __call__(self) -> datetime:
        return BEGINNING + timedelta(seconds=self.seconds + self.jumped_s)

    def outside(self) -> float:
        """Return the time of the upstreams, in seconds since 1970."""
        return BEGINNING.timestamp() + self.seconds

    def monotonic(self) -> float:
        return self.seconds

    def jump(self, seconds: float) -> None:
        """Set the database's clock forward or back."""
        self.jumped_s += seconds

    def until(self, at: datetime) -> float:
        """Return the second at which the database's clock will show this time."""
        return (at - BEGINNING).total_seconds() - self.jumped_s

    def at(self, seconds: float, happen: Callable[[], object]) -> None:
        heapq.heappush(self.timers, (seconds, next(self._tie), happen))

    def advance(self, seconds: float) -> None:
        self.move_to(self.seconds + seconds)

    def move_to(self, seconds: float) -> None:
        """Let time pass, and everything happen that is to happen until then."""
        while self.timers and self.timers[0][0] <= seconds:
            due_s, _, happen = heapq.heappop(self.timers)
            self.seconds = max(self.seconds, due_s)
            happen()
        self.seconds = max(self.seconds, seconds)

    def module(self) -> SimpleNamespace:
        """Return what a module sees that imports `time`."""
        return SimpleNamespace(monotonic=self.monotonic, time=self.outside, sleep=self.advance)


class VirtualBackground(Background):
    """GitLab's background jobs, run by virtual time instead of by a thread."""

    def __init__(self, time: VirtualTime) -> None:
        super().__init__()
        self._time = time
        self._pending = 0

    def start(self) -> None:
        """Do nothing: there is no thread."""

    def stop(self) -> None:
        """Do nothing, as above."""

    def forget(self) -> None:
        """Forget what is pending: time was reset."""
        self._pending = 0

    def after(self, delay_s: float, function: Callable[[], None]) -> None:
        def run() -> None:
            self._pending -= 1
            function()

        self._pending += 1
        self._time.at(self._time.seconds + delay_s, run)

    def settle(self) -> None:
        while self._pending and self._time.timers:
            self._time.move_to(self._time.timers[0][0])

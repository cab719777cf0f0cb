"""Follow a job until it is over, whatever proxies are in between.

    read the job ──▶ read its events, and the job again at each ──▶ over
                          │ no stream, or one that breaks before it sends anything
                          ▼
                     long polling: the server holds its answer until the job has changed ──▶ over

Reading the job at each event costs one more call than using the event's content, but always shows one whole version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from slipway.calls import JobVersion
from slipway.errors import Document, NotOverError, ProblemError, UnreachableError
from slipway.events import EventStream
from slipway.retry import RetryPolicy

HELD_S = 25.0  # less than most proxies allow a request
SHORTEST_HOLD_S = 1.0  # an unchanged job that comes back sooner was not held: poll more slowly


class Deadline:
    """The time until which a caller waits for a job; `within_s` None is for ever."""

    def __init__(self, job_id: str, within_s: float | None, clock: Callable[[], float]) -> None:
        self._job_id = job_id
        self._within_s = within_s
        self._clock = clock
        self._ends_at_s = None if within_s is None else clock() + within_s

    def left_s(self) -> float:
        """Return the seconds left. Raises NotOverError when there are none."""
        if self._ends_at_s is None:
            return float("inf")
        left_s = self._ends_at_s - self._clock()
        if left_s <= 0:
            raise NotOverError(f"The job {self._job_id} did not end within {self._within_s:.0f} s. It continues.")
        return left_s


class Follower:
    """Follows one job. `read(known, held_s)` returns it, or None when it has not changed since `known`."""

    def __init__(
        self,
        read: Callable[[JobVersion | None, float], JobVersion | None],
        open_stream: Callable[[int], EventStream],
        *,
        deadline: Deadline,
        silence_s: float,
        retry: RetryPolicy,
    ) -> None:
        self._read = read
        self._open_stream = open_stream
        self._deadline = deadline
        self._silence_s = silence_s
        self._retry = retry

    def changes(self) -> Iterator[Document]:
        """Yield the job as it is, then after each change. Raises ProblemError, UnreachableError, NotOverError."""
        known = self._read(None, 0.0)
        assert known is not None  # noqa: S101 - without a known version the job is always returned
        yield known.job
        for newer in self._from_events(known):
            known = newer
            yield known.job
        yield from (newer.job for newer in self._from_polling(known))

    def _from_events(self, known: JobVersion) -> Iterator[JobVersion]:
        """Yield the job as read at each event; ends when the job is over or there is no stream."""
        for number in self._event_numbers(known):
            newer = self._read(known, 0.0) if number > known.version else None
            if newer is not None:
                known = newer
                yield known
            if known.is_over:
                return

    def _event_numbers(self, known: JobVersion) -> Iterator[int]:
        """Yield the numbers of events. Every failure ends them: polling then shows whether it matters.

        They also end shortly before the deadline: a stream may send nothing until long after it; polling ends on time.
        """
        events = self._open_stream(known.version).read(replace(self._retry, tries=1))
        try:
            while not known.is_over and self._deadline.left_s() > self._silence_s:
                event = next(events)
                if event is not None:
                    yield event.number
        except (StopIteration, ProblemError, UnreachableError):
            return
        finally:
            events.close()

    def _from_polling(self, known: JobVersion) -> Iterator[JobVersion]:
        """Yield the job from the server's held answers, until it is over."""
        while not known.is_over:
            began_s, left_s = self._retry.clock(), self._deadline.left_s()
            newer = self._read(known, min(HELD_S, left_s))
            if newer is not None:
                known = newer
                yield known
            elif self._retry.clock() - began_s < SHORTEST_HOLD_S:
                self._retry.sleep(min(SHORTEST_HOLD_S, left_s))

"""How is a job followed until it is over, whatever lies between it and us?

    read the job ──▶ hear its events; read it again at each ──▶ over
                          │ no stream, or one that breaks without a word
                          ▼
                     ask again and again: the server holds its answer until the job has changed ──▶ over

Reading at each event costs one call more than telling from the event; what is shown is then always one whole version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from slipway.calls import Seen
from slipway.errors import Document, NotOverError, ProblemError, UnreachableError
from slipway.events import Listener
from slipway.retry import Repeats

HELD_S = 25.0  # less than most proxies allow a request
BRISK_S = 1.0  # an unchanged job that is told sooner was not held back: ask more slowly


class Deadline:
    """When somebody stops waiting for a job; never with None."""

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
            raise NotOverError(f"The job {self._job_id} was not over after {self._within_s:.0f} s. It goes on.")
        return left_s


class Follower:
    """Follows one job. `look(seen, held_s)` reads it; its answer is None when it has not changed since `seen`."""

    def __init__(
        self,
        look: Callable[[Seen | None, float], Seen | None],
        listen: Callable[[int], Listener],
        *,
        deadline: Deadline,
        silence_s: float,
        repeats: Repeats,
    ) -> None:
        self._look = look
        self._listen = listen
        self._deadline = deadline
        self._silence_s = silence_s
        self._repeats = repeats

    def changes(self) -> Iterator[Document]:
        """Yield the job as it is, then after each change. Raises ProblemError, UnreachableError, NotOverError."""
        seen = self._look(None, 0.0)
        assert seen is not None  # noqa: S101 - the first look at a job is always news
        yield seen.job
        for newer in self._heard(seen):
            seen = newer
            yield seen.job
        yield from (newer.job for newer in self._asked(seen))

    def _heard(self, seen: Seen) -> Iterator[Seen]:
        """Yield what a look at each event shows; ends when the job is over, or when there is nothing to hear."""
        for number in self._numbers(seen):
            newer = self._look(seen, 0.0) if number > seen.version else None
            if newer is not None:
                seen = newer
                yield seen
            if seen.is_over:
                return

    def _numbers(self, seen: Seen) -> Iterator[int]:
        """Yield the numbers of events. Without a stream there are none: asking tells whether that matters.

        The last stretch before the deadline is left to asking, too: that ends on time.
        """
        events = self._listen(seen.version).hear_on(replace(self._repeats, tries=1))
        try:
            while not seen.is_over and self._deadline.left_s() > self._silence_s:
                event = next(events)
                if event is not None:
                    yield event.number
        except (StopIteration, ProblemError, UnreachableError):
            return
        finally:
            events.close()

    def _asked(self, seen: Seen) -> Iterator[Seen]:
        """Yield what the server's held answers show, until the job is over."""
        while not seen.is_over:
            began_s, left_s = self._repeats.clock(), self._deadline.left_s()
            newer = self._look(seen, min(HELD_S, left_s))
            if newer is not None:
                seen = newer
                yield seen
            elif self._repeats.clock() - began_s < BRISK_S:
                self._repeats.sleep(min(BRISK_S, left_s))

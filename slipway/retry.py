"""When is a request sent again?  This is the one file to read about it.

    nothing came back, or not all of it         again, whatever it was: a write carries its Idempotency-Key, so the
    502, 503, 504                               server does it once and gives the first answer to every repetition
    429 with a Retry-After of 5 s at most       again after that time
    everything else                             is the answer

By default six times at most, after about 0.25, 0.5, 1, 2 and 4 s, each shortened by chance so that many clients do not
come back together, and longer where the server asks for it: it gives up after 8 s of pauses, or 30 s in all.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count

from slipway.errors import UnreachableError
from slipway.transport import Reply

PASSING = frozenset({502, 503, 504})
TOO_MANY = 429
SHORT_S = 5.0
SHORTEST_READ_S = 0.1

Outcome = Reply | UnreachableError


@dataclass(frozen=True, kw_only=True)
class Repeats:
    """How often, and for how long in all (`budget_s`), a request is sent."""

    tries: int = 6
    budget_s: float = 30.0
    first_s: float = 0.25
    longest_s: float = 5.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random

    def for_as_long_as(self, budget_s: float) -> Repeats:
        """Return the same without a limit but time: for who follows a job through a server's restart."""
        return replace(self, tries=1_000_000, budget_s=budget_s)

    def send(self, attempt: Callable[[float], Reply]) -> Reply:
        """Return the first answer that is worth no repetition, or the last one. Raises UnreachableError.

        `attempt` is called with the seconds that are left.
        """
        ends_at_s = self.clock() + self.budget_s
        for number in count(1):
            outcome = _outcome(attempt, max(SHORTEST_READ_S, ends_at_s - self.clock()))
            pause_s = self._pause_after(number, outcome)
            if number == self.tries or pause_s is None or self.clock() + pause_s >= ends_at_s:
                break
            self.sleep(pause_s)
        if isinstance(outcome, UnreachableError):
            raise outcome
        return outcome

    def pause_s(self, number: int) -> float:
        """Return the pause after the try of this number, counted from 1: half of it by chance."""
        whole_s = min(self.longest_s, self.first_s * 2.0 ** min(number - 1, 16))
        return whole_s * (0.5 + self.chance() / 2)

    def _pause_after(self, number: int, outcome: Outcome) -> float | None:
        """Return None when there is nothing to repeat."""
        if isinstance(outcome, UnreachableError):
            return self.pause_s(number) if outcome.is_passing else None
        asked_s = outcome.retry_after_s
        if outcome.status in PASSING:
            return max(self.pause_s(number), asked_s or 0.0)
        if outcome.status == TOO_MANY and asked_s is not None and asked_s <= SHORT_S:
            return max(self.pause_s(number), asked_s)
        return None


def _outcome(attempt: Callable[[float], Reply], left_s: float) -> Outcome:
    try:
        return attempt(left_s)
    except UnreachableError as error:
        return error

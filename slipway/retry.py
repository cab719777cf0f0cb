"""Retries of requests; this is the only file that decides about them.

    no answer, or an incomplete one             again, whatever it was: a write carries its Idempotency-Key, so the
    502, 503, 504                               server does it once and gives the first answer to every retry
    429 with a Retry-After of 5 s at most       again after that time
    everything else                             is the answer

By default: six tries, with pauses of about 0.25, 0.5, 1, 2 and 4 s. Each pause is shortened at random, so that many
clients do not return together, and is longer where the server asks for it. It gives up after 8 s of pauses, or 30 s in
all.
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
class RetryPolicy:
    """How often a request is sent, and for how long in all (`budget_s`)."""

    tries: int = 6
    budget_s: float = 30.0
    first_s: float = 0.25
    longest_s: float = 5.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random

    def for_as_long_as(self, budget_s: float) -> RetryPolicy:
        """Return the same policy with time as its only limit: for following a job through a restart of the server."""
        return replace(self, tries=1_000_000, budget_s=budget_s)

    def send(self, attempt: Callable[[float], Reply]) -> Reply:
        """Return the first answer that needs no retry, or the last one. Raises UnreachableError.

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
        """Return the pause after try `number`, counted from 1; half of it is random."""
        whole_s = min(self.longest_s, self.first_s * 2.0 ** min(number - 1, 16))
        return whole_s * (0.5 + self.chance() / 2)

    def _pause_after(self, number: int, outcome: Outcome) -> float | None:
        """Return the pause before the next try, None when the outcome is final."""
        if isinstance(outcome, UnreachableError):
            return self.pause_s(number) if outcome.is_passing else None
        asked_s = outcome.retry_after_s
        if outcome.status in PASSING:
            return max(self.pause_s(number), asked_s or 0.0)
        if outcome.status == TOO_MANY and asked_s is not None and asked_s <= SHORT_S:
            return max(self.pause_s(number), asked_s)
        return None


Repeats = RetryPolicy  # its former name


def _outcome(attempt: Callable[[float], Reply], left_s: float) -> Outcome:
    try:
        return attempt(left_s)
    except UnreachableError as error:
        return error

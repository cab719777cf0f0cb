"""How long the database work of one request may take in all, however many transactions it has and repeats.

A database that hangs holds every thread that asks it, until none is left. With a budget, each thread is free again
soon: no statement is waited for longer than what is left of it, and nothing is repeated after that. Only the time in
the database counts: a request that waits for an event keeps its budget.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from sqlalchemy.exc import TimeoutError as PoolTimeoutError

SHORTEST_S = 0.001  # a time limit of a socket must not be 0


class TimeBudget:
    """The seconds that are left, spent between `__enter__` and `__exit__`, which may be nested. Of one thread."""

    def __init__(self, seconds: float) -> None:
        self._seconds = self._left_s = seconds
        self._since_s = 0.0
        self._depth = 0

    def __enter__(self) -> None:
        if self.left_s() <= 0:
            raise PoolTimeoutError("this request has used up its time in the database")
        if self._depth == 0:
            self._since_s = time.monotonic()
        self._depth += 1

    def __exit__(self, *_error: object) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._left_s -= time.monotonic() - self._since_s

    def renew(self) -> None:
        self._left_s, self._since_s = self._seconds, time.monotonic()

    def left_s(self) -> float:
        spending_s = time.monotonic() - self._since_s if self._depth else 0.0
        return self._left_s - spending_s


_current: ContextVar[TimeBudget | None] = ContextVar("time_budget", default=None)


def begin(seconds: float) -> None:
    """Give the database work of this thread a budget, until `end`."""
    _current.set(TimeBudget(seconds))


def end() -> None:
    """Let the database work of this thread take its time again."""
    _current.set(None)


def renew() -> None:
    """Give it the whole budget again: for work of many parts, after each part that the database has done."""
    if budget := _current.get():
        budget.renew()


@contextmanager
def own(seconds: float) -> Iterator[None]:
    """Give the work inside a budget of its own, whatever is left of the other: for what is tidied up at the end."""
    former = _current.set(TimeBudget(seconds))
    try:
        yield
    finally:
        _current.reset(former)


@contextmanager
def spending() -> Iterator[None]:
    """Count the time inside. Raises sqlalchemy.exc.TimeoutError when none is left."""
    budget = _current.get()
    if budget is None:
        yield
        return
    with budget:
        yield


def is_given() -> bool:
    """Say whether there is a budget."""
    return _current.get() is not None


def is_spent() -> bool:
    """Say whether there is a budget and nothing left of it."""
    budget = _current.get()
    return budget is not None and budget.left_s() <= 0


def at_most(seconds: float | None) -> float | None:
    """Return a time limit that also keeps to the budget. None: no limit."""
    budget = _current.get()
    if budget is None:
        return seconds
    left_s = max(SHORTEST_S, budget.left_s())
    return left_s if seconds is None else min(seconds, left_s)

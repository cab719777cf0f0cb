"""Faults: what can happen to a worker at a point where it touches the outside.

before / after a statement, a BEGIN, a COMMIT, a call, a message
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Crash(BaseException):
    """The process ends here: nothing catches it, nothing is recorded."""


class PointKind(StrEnum):
    """Where a worker touches the outside."""

    STATEMENT = "statement"
    COMMIT = "commit"
    COMMITTED = "committed"
    READ = "read"
    WRITE = "write"
    ANSWERED = "answered"
    MESSAGE = "message"


class FaultKind(StrEnum):
    """What happens there."""

    CRASH = "crash"  # the process ends; workers of its host see it at once
    VANISH = "vanish"  # its host ends: nobody sees it
    FREEZE = "freeze"  # the process stands still beyond its lease, then goes on; the server ends its open session
    LOST = "lost"  # the connection breaks; at a COMMIT: before it arrives
    LOST_AFTER = "lost after"  # COMMIT arrives, its answer does not
    DEADLOCK = "deadlock"
    LOCK_WAIT = "lock wait"
    READ_ONLY = "read-only"
    UNREACHABLE = "unreachable"  # nothing is sent
    RESET = "reset"  # the request is sent, nothing is done
    NO_ANSWER = "no answer"  # it is done, the reply is lost
    ERROR_500 = "500"
    ERROR_503 = "503"
    ERROR_AFTER = "502 after"  # it is done, a proxy answers 502
    TRUNCATED = "truncated"
    SLOW = "slow"  # the answer takes long, within the limit
    OUTAGE = "outage"  # nobody reaches the upstream for a while
    PROXY = "proxy"  # a proxy in front of it refuses everybody for a while
    LATE = "late"  # the worker gets no answer in time; the request arrives after that
    CRASH_LATE = "crash, late"  # the process ends; what it had sent arrives a moment later
    MESSAGE_LOST = "message lost"
    MESSAGE_TWICE = "message twice"
    MESSAGE_LATE = "message late"
    CLOCK_BACK = "clock back"  # the database's
    CLOCK_AHEAD = "clock ahead"
    LOCK_HOLDER = "lock holder"  # a session of somebody else's locks a row that workers use


F, P = FaultKind, PointKind
DEATHS = (F.CRASH, F.VANISH)
POSSIBLE: dict[PointKind, tuple[FaultKind, ...]] = {
    P.STATEMENT: (*DEATHS, F.FREEZE, F.LOST, F.DEADLOCK, F.LOCK_WAIT, F.READ_ONLY),
    P.COMMIT: (*DEATHS, F.FREEZE, F.LOST, F.LOST_AFTER, F.DEADLOCK, F.READ_ONLY),
    P.COMMITTED: (*DEATHS, F.FREEZE),
    P.READ: (
        *DEATHS,
        F.FREEZE,
        F.UNREACHABLE,
        F.RESET,
        F.ERROR_500,
        F.ERROR_503,
        F.TRUNCATED,
        F.SLOW,
        F.OUTAGE,
        F.PROXY,
    ),
    P.WRITE: (
        *(*DEATHS, F.FREEZE, F.UNREACHABLE, F.RESET, F.NO_ANSWER, F.ERROR_503, F.ERROR_AFTER),
        *(F.TRUNCATED, F.SLOW, F.LATE, F.CRASH_LATE, F.OUTAGE, F.PROXY),
    ),
    P.ANSWERED: (*DEATHS, F.FREEZE),
    P.MESSAGE: (*DEATHS, F.FREEZE, F.MESSAGE_LOST, F.MESSAGE_TWICE, F.MESSAGE_LATE),
}

BY_CHANCE = {**POSSIBLE, P.STATEMENT: (*POSSIBLE[P.STATEMENT], F.CLOCK_BACK, F.CLOCK_AHEAD, F.LOCK_HOLDER)}


@dataclass(frozen=True, kw_only=True)
class Point:
    """One touch of the outside, in the order of a run."""

    number: int
    process: str
    kind: PointKind
    what: str

    def __str__(self) -> str:
        return f"{self.number} {self.process} {self.kind}: {self.what}"

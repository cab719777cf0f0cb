"""Logged calls and injected faults of a stand-in."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field

READS = frozenset({"GET", "HEAD", "OPTIONS"})
KINDS = ("delay", "hold", "hold_reply", "status", "status_after", "reset", "lost", "drip", "truncate")
HELD_AT_MOST_S = 120.0  # by a fault that nobody releases


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request to a stand-in. `status` is the handler's answer, None when it never ran.

    `number` counts within the service, `order` over all services of the process. `began_at` and `at`, when it was
    answered, are seconds since the epoch. `kind` is `api` for calls of the
    upstream's API; other kinds (`git`, `page`) never count as a write. `user_agent` is what the caller says it is.
    """

    number: int
    order: int
    began_at: float
    at: float
    upstream: str
    kind: str
    method: str
    path: str
    status: int | None
    fault: str | None
    body: str
    user_agent: str = ""

    @property
    def is_write(self) -> bool:
        return self.kind == "api" and self.method not in READS


@dataclass(kw_only=True)
class Fault:
    """A fault in the next `times` matching calls (None: until cleared).

    kind: `delay` (answer after `delay_s`) · `hold` (wait until the fault is released, then go on; a fault that is
    dropped resets the connection instead) · `hold_reply` (do it, wait, then answer) · `status` (do nothing, answer
    `status` with `body`) · `status_after` (do it, then answer `status`) · `reset` (do nothing, RST) ·
    `lost` (do it, then RST: the reply is lost) ·
    `drip` (do it, then send the reply one byte a `delay_s`) · `truncate` (do it, half of the body, then close).
    An outage is a `reset` or a `status` 503 without `times`. `path` is a regular expression searched in the raw path,
    `user_agent` one searched in that header. `skip` lets that many matching calls pass first.
    """

    kind: str
    method: str | None = None
    path: str = ""
    times: int | None = None
    skip: int = 0
    delay_s: float = 0.0
    status: int = 503
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    user_agent: str = ""

    def __post_init__(self) -> None:
        self.held = 0  # calls that wait now
        self.is_dropped = False
        self._released = threading.Event()

    def hold(self) -> None:
        """Return when the fault is released, or after two minutes. The caller counts `held` under its lock."""
        self._released.wait(HELD_AT_MOST_S)

    def release(self, *, is_dropped: bool = False) -> None:
        """Let the calls go on that wait; dropped: without being handled."""
        self.is_dropped = is_dropped
        self._released.set()

    def matches(self, method: str, path: str, user_agent: str = "") -> bool:
        """Return whether this call gets the fault, and count it."""
        if (self.method and self.method != method) or not re.search(self.path, path):
            return False
        if self.user_agent and not re.search(self.user_agent, user_agent):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.times is not None:
            if self.times <= 0:
                return False
            self.times -= 1
        return True

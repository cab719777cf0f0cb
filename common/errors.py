"""Errors of steps: each says what happens next.

StepError
├── NotYet      not an error: the upstream is not ready, poll again later (never uses up an attempt)
├── Transient   try again: the upstream failed temporarily, or the outcome of a call is unknown
├── Conflict    stop: the thing exists and is not ours
│   └── Kept        stop: it was to be closed, and was kept because it may be somebody else's
└── Permanent   stop: trying again cannot help, somebody has to correct something
    └── Refused     a call was answered with 401, 403 or a log-in page: the runner first asks what that means

Every step raises one of these and nothing else; `worker/runner.py` turns each into a state.
Messages are shown to users: they carry no secret, no upstream body beyond its cleaned reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class ActionBy(StrEnum):
    """Who can remove the cause of a Permanent error."""

    USER = "user"
    OPERATOR = "operator"
    UPSTREAM = "upstream"


class StepError(Exception):
    """A step did not finish."""

    code = "step_error"

    def __init__(self, reason: str, *, upstream: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.upstream = upstream


class NotYet(StepError):
    """The upstream has not finished; poll again in `retry_after_s` seconds."""

    code = "not_yet"

    def __init__(self, reason: str, *, retry_after_s: float = 2.0, upstream: str | None = None) -> None:
        super().__init__(reason, upstream=upstream)
        self.retry_after_s = retry_after_s


class Transient(StepError):
    """The upstream failed temporarily or a call's outcome is unknown; read, then try again.

    `retry_after_s` is the server's own hint in seconds, None when it gave none. `is_unavailable`: the upstream did not
    answer, or said that it cannot; several such in a row may mean that it is down. `is_unsent`: it is certain that the
    call never left.
    """

    code = "upstream_unavailable"

    def __init__(
        self,
        reason: str,
        *,
        retry_after_s: float | None = None,
        upstream: str | None = None,
        is_unavailable: bool = False,
        is_unsent: bool = False,
    ) -> None:
        super().__init__(reason, upstream=upstream)
        self.retry_after_s = retry_after_s
        self.is_unavailable = is_unavailable
        self.is_unsent = is_unsent


class Conflict(StepError):
    """It exists and is not ours; `choices` are what the user can do about it."""

    code = "conflict"

    def __init__(self, reason: str, *, choices: tuple[str, ...] = (), upstream: str | None = None) -> None:
        super().__init__(reason, upstream=upstream)
        self.choices = choices


class Kept(Conflict):
    """Something was kept that may still be used, though it should be closed; `output` lists it, as a success would."""

    code = "kept"

    def __init__(
        self, reason: str, *, output: Mapping[str, object], choices: tuple[str, ...], upstream: str | None = None
    ) -> None:
        super().__init__(reason, choices=choices, upstream=upstream)
        self.output = output


class Permanent(StepError):
    """Trying again cannot help; `action_by` says who can."""

    code = "rejected"

    def __init__(self, reason: str, *, action_by: ActionBy = ActionBy.OPERATOR, upstream: str | None = None) -> None:
        super().__init__(reason, upstream=upstream)
        self.action_by = action_by


class Refused(Permanent):
    """The upstream refuses a call: 401, 403, or a redirect to a log-in page.

    That may be about our account, about this one object, or pass by itself, so the runner asks for our standing
    (`worker/upstreams/standing.py`) before anything fails. `reason` is the whole sentence for the user; `says` is the
    upstream's own cleaned reason, "" for none. `headers` are the reply's.
    """

    def __init__(
        self,
        reason: str,
        *,
        upstream: str,
        status: int,
        method: str,
        path: str,
        says: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(reason, action_by=ActionBy.OPERATOR, upstream=upstream)
        self.status = status
        self.method = method
        self.path = path
        self.says = says
        self.headers: Mapping[str, str] = headers or {}

    @property
    def is_write(self) -> bool:
        """Say whether the refused call would have changed something: reads may pass while every write is refused."""
        return self.method not in ("GET", "HEAD")

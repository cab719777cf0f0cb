"""A check of the doctor, and how it can end.

run returns what it found                    -> passed
run raises CheckFailedError                  -> failed: what is wrong, and how to correct it
run raises CheckInconclusiveError            -> inconclusive: nothing is proven, with the reason
a check that it needs did not pass,
or there was no time left for it             -> inconclusive
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Self

from common.errors import StepError, Transient


class CheckState(StrEnum):
    """How a check ended. The values are published in reports."""

    PASSED = "well"
    FAILED = "wrong"
    INCONCLUSIVE = "untold"


class CheckFailedError(Exception):
    """Something is not as jobs need it. `remedy` replaces the check's own.

    `transient`: there was no usable answer, so nothing is known of what was asked; what a step would raise then.
    `expires_at`: as of a `Finding`.
    """

    def __init__(
        self, problem: str, remedy: str = "", *, transient: Transient | None = None, expires_at: str | None = None
    ) -> None:
        super().__init__(problem)
        self.expires_at = expires_at
        self.problem = problem
        self.remedy = remedy
        self.transient = transient


class CheckInconclusiveError(Exception):
    """Reading alone cannot show it. `remedy`: how the operator can find out."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


class Expiring(str):
    """What a check found of something that expires."""

    expires_at: str

    def __new__(cls, said: str, expires_at: str) -> Self:
        found = super().__new__(cls, said)
        found.expires_at = expires_at
        return found


def token_that_expires(ends_at: datetime, *, soon: timedelta) -> Expiring:
    """Return what is said of a token that expires. Raises CheckFailedError if it does so soon."""
    day, at = ends_at.date().isoformat(), ends_at.astimezone(UTC).isoformat()
    if ends_at <= datetime.now(UTC) + soon:
        raise CheckFailedError(f"the token expires on {day}", expires_at=at)
    return Expiring(f"it expires on {day}", at)


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check. `run` returns what it found; `needs` names checks of the same group that must pass first."""

    name: str
    question: str
    remedy: str
    run: Callable[[], str]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Group:
    """The checks of one system, in their order."""

    name: str
    checks: tuple[Check, ...]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """How one check ended. `said` is what was found, what is wrong, or why nothing is proven. Published as it is.

    `expires_at`: when what was checked expires, in ISO 8601.
    """

    group: str
    check: str
    question: str
    state: CheckState
    said: str
    remedy: str = ""
    expires_at: str | None = None


def find(group: Group, check: Check, earlier: dict[str, CheckState]) -> Finding:
    """Run the check and return its finding; `earlier` are the states of those before it in its group."""
    lacking = next((name for name in check.needs if earlier.get(name) is not CheckState.PASSED), None)
    if lacking is not None:
        return _finding(group, check, CheckState.INCONCLUSIVE, f"not checked, because this did not pass: {lacking}")
    try:
        said = check.run()
        expires_at = said.expires_at if isinstance(said, Expiring) else None
        return replace(_finding(group, check, CheckState.PASSED, str(said)), expires_at=expires_at)
    except CheckFailedError as failed:
        wrong = _finding(group, check, CheckState.FAILED, failed.problem, failed.remedy or check.remedy)
        return replace(wrong, expires_at=failed.expires_at)
    except CheckInconclusiveError as inconclusive:
        return _finding(group, check, CheckState.INCONCLUSIVE, inconclusive.reason, inconclusive.remedy)
    except StepError as error:  # what the upstreams' clients raise
        return _finding(group, check, CheckState.FAILED, error.reason, check.remedy)
    except (AttributeError, LookupError, TypeError, ValueError):  # a missing key, a list that is none
        return _finding(group, check, CheckState.FAILED, "the reply has an unknown shape", check.remedy)


def overdue(group: Group, check: Check) -> Finding:
    """Return the finding of a check that had not ended when the time was up."""
    return _finding(group, check, CheckState.FAILED, "there was no reply in time", check.remedy)


def not_started(group: Group, check: Check) -> Finding:
    """Return the finding of a check that was not started when the time was up."""
    return _finding(
        group, check, CheckState.INCONCLUSIVE, "there was no time left for it", "run it again with a larger --seconds"
    )


def _finding(group: Group, check: Check, state: CheckState, said: str, remedy: str = "") -> Finding:
    return Finding(group=group.name, check=check.name, question=check.question, state=state, said=said, remedy=remedy)

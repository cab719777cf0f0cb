"""A check of the doctor, and how it can end.

run returns what it found                    -> passed
run raises CheckFailedError                  -> failed: what is wrong, and how to correct it
run raises CheckInconclusiveError            -> inconclusive: nothing is proven, with the reason
a check that it needs did not pass,
or there was no time left for it             -> inconclusive
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from common.errors import StepError, Transient


class CheckState(StrEnum):
    """How a check ended. The values are published in reports."""

    PASSED = "well"
    FAILED = "wrong"
    INCONCLUSIVE = "untold"


class CheckFailedError(Exception):
    """Something is not as jobs need it. `remedy` replaces the check's own.

    `transient`: there was no usable answer, so nothing is known of what was asked; what a step would raise then.
    """

    def __init__(self, problem: str, remedy: str = "", *, transient: Transient | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy
        self.transient = transient


class CheckInconclusiveError(Exception):
    """Reading alone cannot show it. `remedy`: how the operator can find out."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


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
    """How one check ended. `said` is what was found, what is wrong, or why nothing is proven. Published as it is."""

    group: str
    check: str
    question: str
    state: CheckState
    said: str
    remedy: str = ""


def find(group: Group, check: Check, earlier: dict[str, CheckState]) -> Finding:
    """Run the check and return its finding; `earlier` are the states of those before it in its group."""
    lacking = next((name for name in check.needs if earlier.get(name) is not CheckState.PASSED), None)
    if lacking is not None:
        return _finding(group, check, CheckState.INCONCLUSIVE, f"not checked, because this did not pass: {lacking}")
    try:
        return _finding(group, check, CheckState.PASSED, check.run())
    except CheckFailedError as failed:
        return _finding(group, check, CheckState.FAILED, failed.problem, failed.remedy or check.remedy)
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

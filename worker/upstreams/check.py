"""What is a check, and how can it end?

look returns what it saw      -> well
look raises Wrong             -> wrong: what is wrong, and what to do about it
look raises Untold            -> untold: nothing is proven, with the reason
a check that it needs is not well, or there was no time for it -> untold
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from common.errors import StepError


class State(StrEnum):
    WELL = "well"
    WRONG = "wrong"
    UNTOLD = "untold"


class CheckFailedError(Exception):
    """Something is not as jobs need it. `remedy` replaces the check's own."""

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy


class Untold(Exception):
    """It cannot be told by reading. `remedy`: what the operator can do to know."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


@dataclass(frozen=True, kw_only=True)
class Check:
    """One question. `look` returns what it saw; `needs` names checks of the same group that must be well first."""

    name: str
    question: str
    remedy: str
    look: Callable[[], str]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Group:
    """The checks of one place, in their order."""

    name: str
    checks: tuple[Check, ...]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """How one check ended. `said` is what was seen, what is wrong, or why it is untold."""

    group: str
    check: str
    question: str
    state: State
    said: str
    remedy: str = ""


def find(group: Group, check: Check, earlier: dict[str, State]) -> Finding:
    """Return how the check ends; `earlier` are the states of those before it in its group."""
    lacking = next((name for name in check.needs if earlier.get(name) is not State.WELL), None)
    if lacking is not None:
        return _finding(group, check, State.UNTOLD, f"not looked at, because of: {lacking}")
    try:
        return _finding(group, check, State.WELL, check.look())
    except CheckFailedError as wrong:
        return _finding(group, check, State.WRONG, wrong.problem, wrong.remedy or check.remedy)
    except Untold as untold:
        return _finding(group, check, State.UNTOLD, untold.reason, untold.remedy)
    except StepError as error:  # the upstreams' clients speak in these
        return _finding(group, check, State.WRONG, error.reason, check.remedy)
    except (AttributeError, LookupError, TypeError, ValueError):  # a key that is not there, a list that is none
        return _finding(group, check, State.WRONG, "the answer has a shape that we do not know", check.remedy)


def overdue(group: Group, check: Check) -> Finding:
    """Return the finding of a check that had not ended when the time was up."""
    return _finding(group, check, State.WRONG, "there was no answer in time", check.remedy)


def unlooked(group: Group, check: Check) -> Finding:
    """Return the finding of a check that nobody came to."""
    return _finding(
        group, check, State.UNTOLD, "there was no time left to look", "run it again with a larger --seconds"
    )


def _finding(group: Group, check: Check, state: State, said: str, remedy: str = "") -> Finding:
    return Finding(group=group.name, check=check.name, question=check.question, state=state, said=said, remedy=remedy)

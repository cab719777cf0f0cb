"""Report of the fuzz tests: generated requests, counted by endpoint, by status and by failure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from schemathesis.core.failures import AcceptedNegativeData, ServerError
from schemathesis.openapi.checks import RejectedPositiveData, UndefinedStatusCode

from support.runs import runs

FEW = 4
CASES = runs(FEW, "SLIPWAY_CASES")  # drawn of each call for each person, besides the systematic ones
SEED = runs(1, "SLIPWAY_SEED")

KINDS: dict[type[Exception], str] = {
    ServerError: "server errors",
    UndefinedStatusCode: "undocumented statuses",
    AcceptedNegativeData: "accepted invalid",
    RejectedPositiveData: "rejected valid",
}
OTHERS = "other findings"


class Score:
    """Of one run."""

    def __init__(self) -> None:
        self._statuses: dict[str, Counter[int]] = defaultdict(Counter)
        self._findings: Counter[str] = Counter()

    def count(self, call: str, status: int) -> None:
        self._statuses[call][status] += 1

    def find(self, failures: Iterable[Exception]) -> None:
        """Count failures as often as they are met: what fails is also made smaller."""
        self._findings.update(KINDS.get(type(failure), OTHERS) for failure in failures)

    def without_success(self) -> list[str]:
        return [call for call, statuses in self._statuses.items() if all(status >= 300 for status in statuses)]

    def table(self) -> str:
        """Return a line for each call: its cases, and how often it answered what."""
        lines = []
        for call, statuses in self._statuses.items():
            each = "  ".join(f"{status}: {count}" for status, count in sorted(statuses.items()))
            lines.append(f"{call:<45} {statuses.total():>6}   {each}")
        return "\n".join(lines)

    def totals(self) -> str:
        classes: Counter[int] = Counter()
        for statuses in self._statuses.values():
            for status, count in statuses.items():
                classes[status // 100] += count
        counted = " · ".join(f"{count:,} × {kind}xx" for kind, count in sorted(classes.items()))
        found = " · ".join(f"{name} {self._findings[name]}" for name in (*KINDS.values(), OTHERS))
        return f"{classes.total():,} cases (SLIPWAY_CASES={CASES} SLIPWAY_SEED={SEED}): {counted}\n{found}"

"""Who looks, and until when?  One thread a group, and nobody waits for one that hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from worker.upstreams.check import Finding, Group, State, find, overdue, unlooked


def look(groups: Sequence[Group], *, within_s: float) -> list[Finding]:
    """Return one finding a check, in the order of the groups. What has not ended within `within_s` is said to hang."""
    rounds = [_Round(group) for group in groups]
    ends_at_s = time.monotonic() + within_s
    for each in rounds:
        each.start()
    return [finding for each in rounds for finding in each.findings_by(ends_at_s)]


class _Round(threading.Thread):
    """The checks of one group, one after the other. A daemon: the program ends though it may still hang."""

    def __init__(self, group: Group) -> None:
        super().__init__(name=f"doctor: {group.name}", daemon=True)
        self._group = group
        self._found: list[Finding] = []
        self._fault: Exception | None = None
        self._is_over = False

    def run(self) -> None:
        states: dict[str, State] = {}
        try:
            for check in self._group.checks:
                if self._is_over:
                    return
                finding = find(self._group, check, states)
                states[check.name] = finding.state
                self._found.append(finding)
        except Exception as fault:  # noqa: BLE001 - a fault of ours: raised again where it is seen
            self._fault = fault

    def findings_by(self, ends_at_s: float) -> list[Finding]:
        self.join(max(0.0, ends_at_s - time.monotonic()))
        self._is_over = True
        if self._fault is not None:
            raise self._fault
        found = list(self._found)
        left = self._group.checks[len(found) :]
        hanging = [overdue(self._group, check) for check in left[:1]]
        return [*found, *hanging, *(unlooked(self._group, check) for check in left[1:])]

"""Run groups of checks side by side, one thread each; a group that hangs delays nobody."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from worker.upstreams.check import CheckState, Finding, Group, find, not_started, overdue


def run_checks(groups: Sequence[Group], *, within_s: float) -> list[Finding]:
    """Return one finding a check, in the order of the groups. A check that has not ended within `within_s` failed."""
    threads = [_GroupThread(group) for group in groups]
    ends_at_s = time.monotonic() + within_s
    for each in threads:
        each.start()
    return [finding for each in threads for finding in each.findings_by(ends_at_s)]


class _GroupThread(threading.Thread):
    """Runs the checks of one group in their order. A daemon: the program can end while it still hangs."""

    def __init__(self, group: Group) -> None:
        super().__init__(name=f"doctor: {group.name}", daemon=True)
        self._group = group
        self._found: list[Finding] = []
        self._crash: Exception | None = None
        self._is_over = False

    def run(self) -> None:
        states: dict[str, CheckState] = {}
        try:
            for check in self._group.checks:
                if self._is_over:
                    return
                finding = find(self._group, check, states)
                states[check.name] = finding.state
                self._found.append(finding)
        except Exception as crash:  # noqa: BLE001 - an error of ours: raised again by `findings_by`
            self._crash = crash

    def findings_by(self, ends_at_s: float) -> list[Finding]:
        self.join(max(0.0, ends_at_s - time.monotonic()))
        self._is_over = True
        if self._crash is not None:
            raise self._crash
        found = list(self._found)
        left = self._group.checks[len(found) :]
        hanging = [overdue(self._group, check) for check in left[:1]]
        return [*found, *hanging, *(not_started(self._group, check) for check in left[1:])]

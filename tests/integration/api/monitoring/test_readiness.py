"""A process that is not ready yet: requests that have queued behind a check in vain do not wait for one more each."""

from __future__ import annotations

import time
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from api.contract.problems import Problem
from api.monitoring import readiness
from api.monitoring.readiness import Readiness

UNUSED: Any = None


@pytest.mark.parametrize(("long_s", "checks"), [(0.0, 1), (60.0, 2)], ids=["silent", "answered at once"])
def test_after_a_check_that_waited_in_vain_requests_are_refused_at_once(
    monkeypatch: pytest.MonkeyPatch, long_s: float, checks: int
) -> None:
    begun = []

    def fail(_db: object) -> None:
        begun.append(1)
        time.sleep(0.01)
        raise OperationalError("", {}, Exception())

    monkeypatch.setattr(readiness.migrate, "check", fail)
    monkeypatch.setattr(readiness, "LONG_S", long_s)
    monkeypatch.setattr(readiness, "REST_S", 60.0)
    asked = Readiness(UNUSED, UNUSED)

    for _ in range(2):
        with pytest.raises(Problem):
            asked.require()

    assert len(begun) == checks

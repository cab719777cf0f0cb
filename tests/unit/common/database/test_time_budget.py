"""The arithmetic of a time budget, with a clock of its own."""

from __future__ import annotations

import pytest

from common.database import time_budget
from common.database.time_budget import TimeBudget


def test_within_work_of_many_parts_each_part_has_the_whole_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 0.0
    monkeypatch.setattr(time_budget.time, "monotonic", lambda: now_s)
    budget = TimeBudget(2.5)

    with budget:
        now_s = 2.0
        left_before = budget.left_s()
        budget.renew()
        left_after = budget.left_s()
        now_s = 3.0

    assert (left_before, left_after, budget.left_s()) == (0.5, 2.5, 1.5)

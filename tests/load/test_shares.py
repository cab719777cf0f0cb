"""What several workers together ask of an upstream never exceeds its share, as the upstream itself saw it.

`SLIPWAY_SHARED_JOBS=100 pytest -s tests/load/test_shares.py` prints the figures.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from support.runs import runs
from support.stack import Stack

JOBS = runs(20, "SLIPWAY_SHARED_JOBS")
DELAY_S = 0.1  # of every answer: so that calls overlap
AT_ONCE = {"gitlab": 3, "jenkins": 2, "argocd": 3, "elasticsearch": 1}
PER_S = {"gitlab": 12, "jenkins": 8, "argocd": 6, "elasticsearch": 4}
SETTINGS = {"gitlab": "GITLAB", "jenkins": "JENKINS", "argocd": "ARGO", "elasticsearch": "KIBANA"}


@pytest.mark.parametrize("limit", ["concurrency", "rate"])
def test_no_upstream_gets_more_than_its_share(start_stack: Callable[..., Stack], limit: str) -> None:
    stack = start_stack(**(_concurrency() if limit == "concurrency" else _rate()))
    person = stack.person("ada")
    project, before = person.make_project("shop"), stack.harbour.last_call()
    for upstream in AT_ONCE:
        stack.harbour.fault(upstream, kind="delay", path="^/(?!.*[.]git/)", delay_s=DELAY_S)

    with ThreadPoolExecutor(8) as crowd:
        accepted = [
            *crowd.map(lambda number: stack.anyone().sign_up(f"person{number}"), range(JOBS // 2)),
            *crowd.map(lambda number: person.make_app(project, f"app{number}"), range(JOBS - JOBS // 2)),
        ]
        for _ in crowd.map(lambda job_id: person.follow(job_id, within_s=900), accepted):
            pass

    calls = [call for call in stack.harbour.calls(since=before) if call["kind"] != "git"]
    seen = {name: _seen(limit, [call for call in calls if call["upstream"] == name]) for name in AT_ONCE}
    allowed = AT_ONCE if limit == "concurrency" else PER_S
    print(f"\n{limit}: {len(calls)} calls for {JOBS} jobs, most seen {seen}, allowed {allowed}")  # noqa: T201 - figures
    assert all(seen[name] <= allowed[name] for name in allowed)
    assert any(seen[name] == allowed[name] for name in allowed)  # or nothing was limited


def _concurrency() -> dict[str, str]:
    return {f"{SETTINGS[name]}_CONCURRENCY": str(number) for name, number in AT_ONCE.items()}


def _rate() -> dict[str, str]:
    at_once = {f"{SETTINGS[name]}_CONCURRENCY": str(2 * number) for name, number in PER_S.items()}
    return {**at_once, **{f"{SETTINGS[name]}_CALLS_PER_SECOND": str(number) for name, number in PER_S.items()}}


def _seen(limit: str, calls: Sequence[dict[str, Any]]) -> int:
    return _most_at_once(calls) if limit == "concurrency" else _most_in_a_second(calls)


def _most_at_once(calls: Sequence[dict[str, Any]]) -> int:
    """Return how many calls were under way at the fullest moment."""
    edges = sorted([(call["began_at"], 1) for call in calls] + [(call["at"], -1) for call in calls])
    most = now = 0
    for _at, step in edges:
        now += step
        most = max(most, now)
    return most


def _most_in_a_second(calls: Sequence[dict[str, Any]]) -> int:
    """Return how many calls began in the fullest second, wherever that begins."""
    begun = sorted(call["began_at"] for call in calls)
    return max(bisect_right(begun, at + 1) - index for index, at in enumerate(begun))

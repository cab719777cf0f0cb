"""Clocks that jump, of the database's host, a worker's, the API's: no job stands still, and nothing is done twice."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from support.chaos import figures
from support.chaos.callers import new_request_id
from support.chaos.installation import Installation
from support.chaos.scenarios import Scenarios
from support.checkout import ROOT
from support.services import missing

JUMPS_S = (-180, 3600, -3600)
SETTLED_S = 30.0
LIBRARIES = ("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1", "/usr/lib/faketime/libfaketimeMT.so.1")


def test_jobs_outlive_a_clock_that_jumps(install: Callable[..., Installation], is_quick: bool, tmp_path: Path) -> None:
    if is_quick:
        pytest.skip("it takes minutes; tests/integration moves a clock instead")
    clocks = {party: _Clock(tmp_path / f"clock-of-{party}") for party in ("database", "worker", "api")}
    installation = install(
        workers={"first": 8, "second": 8},
        database_environment=clocks["database"].environment,
        api_environment=clocks["api"].environment,
        worker_environments={"first": clocks["worker"].environment},
    )
    scenarios = Scenarios(installation)
    scenarios.prepare()
    usual_s = _settle(scenarios, lambda: None)[1]  # what this machine takes without a jump
    rows = []
    for party, clock in clocks.items():
        for jump_s in JUMPS_S:
            states, took_s = _settle(scenarios, partial(clock.jump, jump_s))
            rows.append((party, jump_s, states, round(took_s, 1)))

    table = "\n".join(map(str, rows))
    figures.report("clocks", f"without a jump: {usual_s:.1f} s\n{table}", usual_s=usual_s, rows=rows)
    assert [row for row in rows if row[2] != {"succeeded": 6} or row[3] > SETTLED_S + usual_s] == []


def _settle(scenarios: Scenarios, jump: Callable[[], None]) -> tuple[dict[str, int], float]:
    """Return how jobs ended that ran when a clock jumped, or came afterwards, and after how many seconds all had."""
    jobs = [scenarios.provision(new_request_id("provision")) for _ in range(3)]
    jump()
    began_s = time.monotonic()
    jobs += [scenarios.sign_up(new_request_id("signup")) for _ in range(3)]
    states = Counter(scenarios.settle(jobs, within_s=300).values())
    return dict(states), time.monotonic() - began_s


class _Clock:
    """The clock of a process under libfaketime; it runs on from wherever it is put."""

    def __init__(self, file: Path) -> None:
        library = next((path for path in LIBRARIES if Path(path).exists()), None)
        if library is None:
            missing("libfaketime")
        self._file, self._offset_s = file, 0
        self.environment = {
            "LD_PRELOAD": library,
            "PYTHONPATH": f"{ROOT / 'tests'}:{ROOT / 'tests/support/chaos/other_clock'}",
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }
        self.jump(0)

    def jump(self, seconds: int) -> None:
        self._offset_s += seconds
        self._file.write_text(f"{self._offset_s:+d}s\n")

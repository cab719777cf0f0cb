"""The database's disk is full: requests are refused in time, nothing is half written, and all goes on with room."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from support.chaos import figures
from support.chaos.callers import new_request_id, sign_up_body
from support.chaos.hosts import SmallDisk, can_mount
from support.chaos.installation import Installation
from support.chaos.scenarios import Scenarios
from support.services import missing

MEGABYTES, REQUESTS, REFUSED_S = 320, 40, 3.0


def test_a_full_disk_loses_nothing(install: Callable[..., Installation], is_quick: bool, tmp_path: Path) -> None:
    if is_quick:
        pytest.skip("it needs an installation of its own")
    if not can_mount():
        missing("the right to mount")
    disk = SmallDisk(tmp_path / "small", MEGABYTES)
    try:
        installation = install(workers={"first": 8, "second": 8}, disk=disk)
        scenarios = Scenarios(installation)
        scenarios.prepare()
        running = [scenarios.provision(new_request_id("provision")) for _ in range(6)]
        disk.fill()
        answers = [_sign_up(installation) for _ in range(REQUESTS)]
        disk.make_room()
        states = Counter(scenarios.settle(running, within_s=300).values())
    finally:
        disk.close()

    statuses, slowest_s = Counter(status for status, _ in answers), max(took_s for _, took_s in answers)
    text = f"disk full: {dict(statuses)}, slowest {slowest_s:.2f} s; running jobs: {dict(states)}"
    figures.report("disk-full", text, statuses=statuses, slowest_s=slowest_s, states=states)
    assert set(statuses) <= {202, 503}
    assert slowest_s < REFUSED_S
    assert states == Counter(succeeded=6)


def _sign_up(installation: Installation) -> tuple[int, float]:
    request_id, began_s = new_request_id("signup"), time.monotonic()
    try:
        status = (
            installation.caller().send("POST", "/signup", sign_up_body(request_id), request_id=request_id).status_code
        )
    except requests.RequestException:
        status = 0
    return status, time.monotonic() - began_s

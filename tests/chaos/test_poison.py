"""A step that kills every worker that runs it fails after its last attempt; all others go on."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from contextlib import suppress

import pytest
from support.chaos import figures
from support.chaos.callers import new_request_id
from support.chaos.installation import Installation
from support.chaos.scenarios import Accepted, Scenarios
from support.stack import wait_for

from common.workflows import DRIFT

ATTEMPTS = DRIFT.steps[0].retry.attempts
OVER_S = 400.0


def test_a_step_that_kills_every_worker_fails_after_its_last_attempt(
    install: Callable[..., Installation], is_quick: bool
) -> None:
    if is_quick:
        pytest.skip("it takes minutes; tests/integration has the same in one process")
    installation = install(workers={"first": 8, "second": 8})
    scenarios = Scenarios(installation)
    scenarios.prepare()
    scenarios.stock(apps=1)
    poison, others, deaths = new_request_id("drift"), list[Accepted](), 0
    job = _held(installation, scenarios, poison)
    ends_at_s = time.monotonic() + OVER_S

    while scenarios.unsettled([job]) and time.monotonic() < ends_at_s:
        if sum(installation.harbour.held().values()):
            others.append(scenarios.sign_up(new_request_id("signup")))
            _kill_who_runs(installation, job)
            installation.harbour.release(is_dropped=True)
            _hold(installation, poison)
            deaths += 1
        time.sleep(0.1)
    installation.harbour.release(is_dropped=True)
    scenarios.settle(others)

    step = installation.rows("SELECT state, code, attempts FROM steps WHERE job_id = %s", job.job_id)[0]
    figures.report("poison", f"{deaths} workers killed, then {step}; {len(others)} others settled", deaths=deaths)
    assert (step["state"], step["code"], step["attempts"]) == ("failed", "worker_lost", ATTEMPTS)
    assert set(scenarios.states(others).values()) == {"succeeded"}


def _held(installation: Installation, scenarios: Scenarios, request_id: str) -> Accepted:
    _hold(installation, request_id)
    job = scenarios.accept("drift", request_id)
    wait_for("the step runs", lambda: sum(installation.harbour.held().values()), within_s=60)
    return job


def _hold(installation: Installation, request_id: str) -> None:
    for upstream in ("gitlab", "jenkins", "argocd"):
        installation.harbour.fault(upstream, kind="hold", user_agent=f"^slipway {request_id}/")


def _kill_who_runs(installation: Installation, job: Accepted) -> None:
    runs = "SELECT a.worker FROM steps s JOIN attempts a ON a.step_id = s.id AND a.number = s.attempts"
    worker = installation.rows(f"{runs} WHERE s.job_id = %s", job.job_id)[0]["worker"]
    name = next(name for name in installation.workers if worker.startswith(f"host-{name}:"))
    with suppress(ProcessLookupError):
        installation.signal(name, signal.SIGKILL)

"""What is mutated, and the tests that have to notice: fast ones, in this process, on SQLite."""

from __future__ import annotations

from dataclasses import dataclass

JOBS, ADMISSION, WORKER = (
    "tests/integration/common/jobs",
    "tests/integration/common/admission",
    "tests/integration/worker",
)
CLAIMS = (
    f"{JOBS}/test_attempts.py",
    f"{JOBS}/test_claims.py",
    f"{JOBS}/test_lost_answers.py",
    f"{JOBS}/test_set_back.py",
    f"{JOBS}/test_unknown_commits.py",
    f"{WORKER}/test_leases.py",
    f"{WORKER}/test_stale_rows.py",
)
HTTP = ("tests/contract/worker/test_reading_mode.py", "tests/contract/worker/test_http.py")
WAITING = (ADMISSION, f"{WORKER}/test_refusals.py")


@dataclass(frozen=True)
class Target:
    """A module, or some functions of it, and the files or directories of its tests."""

    file: str
    tests: tuple[str, ...]
    functions: tuple[str, ...] = ()


TARGETS = (
    # the claim, the lease, the fence
    Target("common/jobs/claims.py", CLAIMS),
    Target("common/jobs/attempts.py", (*CLAIMS, f"{JOBS}/test_lifecycle.py", f"{JOBS}/test_parked_steps.py")),
    Target("common/jobs/hot_path.py", (*CLAIMS, f"{JOBS}/test_hot_path.py", f"{JOBS}/test_outcomes.py")),
    Target("common/jobs/outcomes.py", (*CLAIMS, f"{JOBS}/test_outcomes.py", f"{JOBS}/test_refused_before.py")),
    Target("worker/leases.py", (f"{WORKER}/test_lease_rounds.py", *CLAIMS)),
    Target("worker/context.py", CLAIMS, ("StepContext.require_claim",)),
    Target("worker/upstreams/http.py", HTTP, ("Http.within", "Http.reading", "Http.send")),
    # the ledger and the states
    Target("common/jobs/ledger.py", (*CLAIMS, f"{JOBS}/test_ledger.py")),
    Target("common/states.py", tuple(f"{JOBS}/test_{name}.py" for name in ("transitions", "lifecycle", "claims"))),
    Target("common/jobs/lifecycle.py", (*CLAIMS, f"{JOBS}/test_lifecycle.py")),
    # a request that comes twice
    Target(
        "api/serving/idempotency.py",
        ("tests/integration/api/serving/test_idempotency.py", f"{JOBS}/test_idempotency_records.py"),
    ),
    # an upstream that is away, or refuses us, or is at its limit
    Target("common/admission/outages.py", WAITING),
    Target("worker/outage_probe.py", WAITING),
    Target("common/admission/refusals.py", WAITING),
    Target("worker/refusals.py", (*WAITING, "tests/unit/worker/test_refusal_decisions.py")),
    Target("common/admission/slots.py", (*CLAIMS, *WAITING)),
    Target("common/admission/quick_slots.py", (*CLAIMS, *WAITING, f"{JOBS}/test_hot_path.py")),
    Target("common/admission/parking.py", (f"{JOBS}/test_dispatch.py", *WAITING)),
    # what is due
    Target("common/jobs/dispatch.py", (f"{JOBS}/test_dispatch.py", *CLAIMS, ADMISSION)),
    Target("common/jobs/lane_messages.py", (f"{JOBS}/test_lifecycle.py", f"{JOBS}/test_attempts.py")),
    Target("common/jobs/stuck.py", ("tests/integration/api/commands/test_jobs.py",)),
)

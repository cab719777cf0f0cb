"""What would making this app do?  Asked before anything is made; nothing is written anywhere."""

from __future__ import annotations

from typing import Any

from worker import dry_run
from worker.context import StepContext
from worker.upstreams import Upstreams


def foresee_app(job: StepContext, upstreams: Upstreams) -> dict[str, Any]:
    """Say for each step of provisioning what it would do: create, adopt, conflict, …"""
    findings = dry_run.DryRun(job, upstreams).findings()
    is_possible = not any(finding.verdict in dry_run.STOPPING for finding in findings)
    return {"possible": is_possible, "steps": dry_run.as_report(findings)}

"""What of an app is no longer as it was made?  Nothing is written anywhere."""

from __future__ import annotations

from typing import Any

from worker import dry_run
from worker.context import StepContext
from worker.dry_run import Forecast, StepForecast
from worker.upstreams import Upstreams

WORDS = {
    Forecast.CREATE: "missing",
    Forecast.CHANGE: "changed",
    Forecast.CONFLICT: "foreign",
    Forecast.ADOPT: "unrecorded",
    Forecast.WAIT: "unfinished",
    Forecast.FORBIDDEN: "unreadable",
    Forecast.NOT_REACHED: "not reached",
}


def compare_app(job: StepContext, upstreams: Upstreams) -> dict[str, Any]:
    """Say which parts are missing, changed or somebody else's, and whether `reconcile` can put them right."""
    findings = dry_run.DryRun(job, upstreams).findings()
    off = [finding for finding in findings if finding.verdict is not Forecast.OK]
    return {
        "drifted": bool(off),
        "repairable": not any(finding.verdict in dry_run.STOPPING for finding in off),
        "parts": [_part(finding) for finding in off],
    }


def _part(finding: StepForecast) -> dict[str, str]:
    return {
        "step": finding.step,
        "upstream": finding.upstream,
        "state": WORDS[finding.verdict],
        "reason": finding.reason,
    }

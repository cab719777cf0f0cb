"""What of an app is no longer as it was made?  Nothing is written anywhere."""

from __future__ import annotations

from typing import Any

from worker import dry_run
from worker.context import RunningJob
from worker.dry_run import Finding, Verdict
from worker.upstreams import Upstreams

WORDS = {
    Verdict.CREATE: "missing",
    Verdict.CHANGE: "changed",
    Verdict.CONFLICT: "foreign",
    Verdict.ADOPT: "unrecorded",
    Verdict.WAIT: "unfinished",
    Verdict.FORBIDDEN: "unreadable",
    Verdict.NOT_REACHED: "not reached",
}


def compare_app(job: RunningJob, upstreams: Upstreams) -> dict[str, Any]:
    """Say which parts are missing, changed or somebody else's, and whether `reconcile` can put them right."""
    findings = dry_run.Inspector(job, upstreams).findings()
    off = [finding for finding in findings if finding.verdict is not Verdict.OK]
    return {
        "drifted": bool(off),
        "repairable": not any(finding.verdict in dry_run.STOPPING for finding in off),
        "parts": [_part(finding) for finding in off],
    }


def _part(finding: Finding) -> dict[str, str]:
    return {
        "step": finding.step,
        "upstream": finding.upstream,
        "state": WORDS[finding.verdict],
        "reason": finding.reason,
    }

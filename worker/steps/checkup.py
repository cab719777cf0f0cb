"""The checks of `python -m worker.doctor`, as a job."""

from __future__ import annotations

from common.step_outputs import CheckupOutput
from worker.context import StepContext
from worker.doctor import report, run
from worker.doctor.catalogue import groups_for
from worker.upstreams import Upstreams

WITHIN_S = 15.0


def examine(job: StepContext, _upstreams: Upstreams) -> CheckupOutput:
    """Check the settings and every upstream; a failed check is a finding, not a failure of the step."""
    findings = run.run_checks(groups_for(job.settings, job.worker.catalog), within_s=WITHIN_S)
    return report.as_document(report.without_secrets(findings, job.settings))

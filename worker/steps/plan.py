"""The plan of an app that is not made yet: what each step would do. It only reads."""

from __future__ import annotations

from common.step_outputs import Plan
from worker import dry_run
from worker.context import StepContext
from worker.steps import provision
from worker.upstreams import Upstreams


def foresee_app(job: StepContext, upstreams: Upstreams) -> Plan:
    """Say for each step of provisioning what it would do: create, adopt, conflict, …"""
    forecasts = dry_run.DryRun(job, upstreams, provision, provision.PREVIEWS).forecasts()
    is_possible = not any(each.verdict in dry_run.STOPPING for each in forecasts)
    return {"possible": is_possible, "steps": dry_run.as_report(forecasts)}

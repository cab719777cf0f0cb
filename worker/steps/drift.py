"""The comparison of an app with what was made for it; it only reads."""

from __future__ import annotations

from common.step_outputs import CREATE_APPLICATION, Drift, DriftedPart
from worker import dry_run
from worker.context import StepContext
from worker.dry_run import Forecast, StepForecast
from worker.steps import provision
from worker.upstreams import Upstreams

STATES = {
    Forecast.CREATE: "missing",
    Forecast.CHANGE: "changed",
    Forecast.DIFFERS: "differs",
    Forecast.CONFLICT: "foreign",
    Forecast.ADOPT: "unrecorded",
    Forecast.WAIT: "unfinished",
    Forecast.FORBIDDEN: "unreadable",
    Forecast.NOT_REACHED: "not reached",
}


def compare_app(job: StepContext, upstreams: Upstreams) -> Drift:
    """Say which parts are missing, changed or somebody else's, and whether `reconcile` can put them right.

    What merely differs is left as it is: alone, it is nothing to repair. An application that is as it should be can
    still be one that Argo CD cannot compare with git and the cluster: then no deployment of it works, and a repair does
    not help.
    """
    off = [
        each
        for each in dry_run.DryRun(job, upstreams, provision, provision.PREVIEWS).forecasts()
        if each.verdict is not Forecast.OK
    ]
    is_as_made = all(each.verdict is Forecast.DIFFERS for each in off)
    broken = _incomparable(job, upstreams) if is_as_made else None
    if broken is not None:
        return {"drifted": True, "repairable": False, "parts": [*map(_part, off), broken]}
    return {
        "drifted": bool(off),
        "repairable": not any(each.verdict in dry_run.STOPPING for each in off) and not (off and is_as_made),
        "parts": [_part(each) for each in off],
    }


def _incomparable(job: StepContext, upstreams: Upstreams) -> DriftedPart | None:
    """Return why Argo CD cannot compare the application: git or the cluster is away or refuses, or the chart fails."""
    applications = upstreams.reading().argocd.in_namespace(job.team.argocd_namespace).applications
    error = applications.comparison_error(job.input("app"), job.team.argocd_project)
    if not error:
        return None
    return {"step": CREATE_APPLICATION.step, "upstream": "argocd", "state": "unreadable", "reason": error}


def _part(forecast: StepForecast) -> DriftedPart:
    return {
        "step": forecast.step,
        "upstream": forecast.upstream,
        "state": STATES[forecast.verdict],
        "reason": forecast.reason,
    }

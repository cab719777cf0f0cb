"""The comparison of an app with what was made for it; it only reads."""

from __future__ import annotations

from common.step_outputs import Drift, DriftedPart
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

    What merely differs is left as it is: alone, it is nothing to repair.
    """
    off = [
        each
        for each in dry_run.DryRun(job, upstreams, provision, provision.PREVIEWS).forecasts()
        if each.verdict is not Forecast.OK
    ]
    return {
        "drifted": bool(off),
        "repairable": not any(each.verdict in dry_run.STOPPING for each in off)
        and not (off and all(each.verdict is Forecast.DIFFERS for each in off)),
        "parts": [_part(each) for each in off],
    }


def _part(forecast: StepForecast) -> DriftedPart:
    return {
        "step": forecast.step,
        "upstream": forecast.upstream,
        "state": STATES[forecast.verdict],
        "reason": forecast.reason,
    }

"""Advice for stuck jobs: the commands that help, by the reason why a job does not progress."""

from __future__ import annotations

from common.admission.outages import HoldCode
from common.jobs.stuck import Stuck, Why

DOCTOR = "python -m worker.doctor"
CANCEL = "flask --app api jobs cancel {job_id}"
PAUSED = "It resumes automatically once the pause ends. To end the pause: slipway upstreams resume UPSTREAM"
REFUSED = "It resumes automatically once the upstream accepts Slipway again. Cause and remedy: slipway upstreams list"
ADVICE = {
    Why.OVERDUE: "No worker has dispatched it. Start workers: celery -A worker worker",
    Why.UNWATCHED: f"No worker will dispatch it, because its row was changed outside Slipway. Cancel it: {CANCEL}",
    Why.UNBEGUN: f"Its message is sent, but no worker starts the step. Check the broker: {DOCTOR}; and the workers: "
    "celery -A worker inspect ping",
    Why.HELD: f"It resumes automatically once the upstream is available. Check the upstream: {DOCTOR}",
    Why.WAITING: f"Its upstream is not ready. Check the upstream: {DOCTOR}; if it will not become ready: {CANCEL}",
    Why.ENDLESS: f"None of its steps can run, because its rows were changed outside Slipway. Cancel it: {CANCEL}",
}


def advice(stuck: Stuck) -> str:
    """Return what to do about a stuck job, with the commands to type."""
    if stuck.step and stuck.why is Why.HELD and stuck.step.code == HoldCode.PAUSED:
        return PAUSED
    if stuck.step and stuck.why is Why.HELD and stuck.step.code == HoldCode.REFUSED:
        return REFUSED
    return ADVICE[stuck.why].format(job_id=stuck.job.id)

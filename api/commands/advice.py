"""Advice for stuck jobs: the reason why a job does not progress, and the commands that help."""

from __future__ import annotations

from datetime import datetime

from api.commands.text import format_duration, format_time
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


def document(stuck: Stuck, now: datetime) -> dict[str, object]:
    """Return a stuck job as a JSON document."""
    job, step = stuck.job, stuck.step
    return {
        "job_id": job.id,
        "kind": job.kind,
        "state": job.state.value,
        "team": job.team_id,
        "app": stuck.app,
        "why": stuck.why.value,
        "since": format_time(stuck.since),
        "for_s": int((now - stuck.since).total_seconds()),
        "step": step.name if step else None,
        "upstream": step.upstream if step else None,
        "code": step.code if step else None,
        "reason": step.reason if step else None,
        "next_look_at": format_time(step.due_at) if step and step.due_at else None,
        "messages": step.nudges if step else 0,
        "advice": _advice(stuck),
    }


def lines(stuck: Stuck, now: datetime) -> str:
    """Return a stuck job as text: what, where and for how long, why, and the command that helps."""
    job, step = stuck.job, stuck.step
    about = f"app {stuck.app}" if stuck.app else str(job.input.get("login", ""))
    head = f"{job.id}  {job.kind} {job.state}, team {job.team_id}, {about}".rstrip(", ")
    place = f" at {step.name} ({step.upstream})" if step else ""
    reason = f": {step.reason}" if step and step.reason else ""
    return f"{head}\n  {stuck.why}{place} for {format_duration(now - stuck.since)}{reason}\n  {_advice(stuck)}"


def _advice(stuck: Stuck) -> str:
    if stuck.step and stuck.why is Why.HELD and stuck.step.code == HoldCode.PAUSED:
        return PAUSED
    if stuck.step and stuck.why is Why.HELD and stuck.step.code == HoldCode.REFUSED:
        return REFUSED
    return ADVICE[stuck.why].format(job_id=stuck.job.id)

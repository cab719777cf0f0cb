"""What can be typed about a job that does not move?"""

from __future__ import annotations

from datetime import datetime

from api.commands.text import format_duration, format_time
from common.admission.outages import HoldCode
from common.jobs.stuck import Stuck, Why

DOCTOR = "python -m worker.doctor"
CANCEL = "flask --app api jobs cancel {job_id}"
PAUSED = "It goes on when the pause is over. An administrator ends it: slipway upstreams resume UPSTREAM"
ADVICE = {
    Why.OVERDUE: "No worker has looked at it. Start workers: celery -A worker worker",
    Why.UNWATCHED: f"No worker will look at it. Its row was changed by other hands: {CANCEL}",
    Why.UNBEGUN: f"It is sent, and no worker begins it. Look at the broker: {DOCTOR}; and at the workers: "
    "celery -A worker inspect ping",
    Why.HELD: f"It goes on by itself when its upstream can take it. Look at that: {DOCTOR}",
    Why.WAITING: f"Its upstream is not ready. Look at that: {DOCTOR}; if it is not to come: {CANCEL}",
    Why.ENDLESS: f"No step of it can move. Its rows were changed by other hands: {CANCEL}",
}


def document(found: Stuck, now: datetime) -> dict[str, object]:
    """Return it as plain values."""
    job, step = found.job, found.step
    return {
        "job_id": job.id,
        "kind": job.kind,
        "state": job.state.value,
        "team": job.team_id,
        "app": found.app,
        "why": found.why.value,
        "since": format_time(found.since),
        "for_s": int((now - found.since).total_seconds()),
        "step": step.name if step else None,
        "upstream": step.upstream if step else None,
        "code": step.code if step else None,
        "reason": step.reason if step else None,
        "next_look_at": format_time(step.due_at) if step and step.due_at else None,
        "messages": step.nudges if step else 0,
        "advice": _advice(found),
    }


def lines(found: Stuck, now: datetime) -> str:
    """Return it in words: what, where and for how long, why, and what to type."""
    job, step = found.job, found.step
    about = f"app {found.app}" if found.app else str(job.input.get("login", ""))
    head = f"{job.id}  {job.kind} {job.state}, team {job.team_id}, {about}".rstrip(", ")
    place = f" at {step.name} ({step.upstream})" if step else ""
    reason = f": {step.reason}" if step and step.reason else ""
    return f"{head}\n  {found.why}{place} for {format_duration(now - found.since)}{reason}\n  {_advice(found)}"


def _advice(found: Stuck) -> str:
    if found.step and found.why is Why.HELD and found.step.code == HoldCode.PAUSED:
        return PAUSED
    return ADVICE[found.why].format(job_id=found.job.id)

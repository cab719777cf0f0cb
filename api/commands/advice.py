"""Stuck jobs as text and as JSON: what, where and for how long, and the commands that help."""

from __future__ import annotations

from datetime import datetime

from api.commands.text import format_duration, format_time
from api.presentation.advice import advice
from common.jobs.stuck import Stuck


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
        "advice": advice(stuck),
    }


def lines(stuck: Stuck, now: datetime) -> str:
    """Return a stuck job as text: what, where and for how long, why, and the command that helps."""
    job, step = stuck.job, stuck.step
    about = f"app {stuck.app}" if stuck.app else str(job.input.get("login", ""))
    head = f"{job.id}  {job.kind} {job.state}, team {job.team_id}, {about}".rstrip(", ")
    place = f" at {step.name} ({step.upstream})" if step else ""
    reason = f": {step.reason}" if step and step.reason else ""
    return f"{head}\n  {stuck.why}{place} for {format_duration(now - stuck.since)}{reason}\n  {advice(stuck)}"

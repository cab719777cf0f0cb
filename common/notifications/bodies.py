"""What a notification says: `{type, timestamp, text, data}`, composed once, so that every attempt sends the same bytes.

It says of a job what the members of its team see, and nothing that an upstream said in general.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from common import workflows
from common.database.models import App, Event, Job, Notification, User
from common.plain_text import harmless, own_words
from common.states import NotificationKind, StepState
from common.workflows import Upstream

EVENTS_READ = 1000  # of one job: the last ones say how each of its steps ended
VERBS = {
    NotificationKind.JOB_SUCCEEDED: "succeeded",
    NotificationKind.JOB_FAILED: "failed",
    NotificationKind.JOB_CANCELLED: "was cancelled",
}


def compose(session: Session, notification: Notification) -> str:
    """Return the body, as JSON."""
    kind = NotificationKind(notification.kind)
    text, data = (_of_job if kind in VERBS else _of_upstream)(session, kind, notification.about)
    body = {"type": kind.value, "timestamp": _timestamp(notification.at), "text": harmless(text), "data": data}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def _of_job(session: Session, kind: NotificationKind, about: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    columns = select(Job, App.name, User.login).outerjoin(App, App.id == Job.app_id)
    row = session.execute(columns.outerjoin(User, User.id == Job.user_id).where(Job.id == about["job_id"])).first()
    if row is None:  # it was deleted for its age while the notification waited
        return f"A job {VERBS[kind]}.", {"job_id": about["job_id"]}
    job, app, login = row
    subject = app or job.input.get("app") or job.input.get("login")
    title = f"{job.kind.capitalize().replace('_', ' ')}{f' of {subject}' if subject else ''}"
    errors = _errors(session, job, about["version"]) if kind is NotificationKind.JOB_FAILED else []
    why = f": {errors[0]['reason']}" if errors else ""
    data = {
        "job_id": job.id,
        "kind": job.kind,
        "state": kind.value.removeprefix("job."),
        "team": job.team_id,
        "app_id": job.app_id,
        "app": app,
        "user": login,
        "created_at": _timestamp(job.created_at),
        "errors": errors,
    }
    return f"{title} {VERBS[kind]}{why}" + ("" if why.endswith(".") else "."), data


def _errors(session: Session, job: Job, version: int) -> list[dict[str, Any]]:
    """Return why the job had failed when it had this version, though it may have been retried since."""
    of_then = select(Event.steps).where(Event.job_id == job.id, Event.number <= version)
    last: dict[str, dict[str, Any]] = {}
    for steps in session.scalars(of_then.order_by(Event.number.desc()).limit(EVENTS_READ)):
        for step in steps:
            last.setdefault(step["name"], step)
    return [_error(job.kind, step) for step in last.values() if step["state"] == StepState.FAILED]


def _error(kind: str, step: Mapping[str, Any]) -> dict[str, Any]:
    plan = workflows.find_step(kind, step["name"])
    reason = harmless(step["reason"] or "")
    return {
        "step": step["name"],
        "upstream": plan.upstream.value if plan else None,
        "code": step["code"],
        "reason": reason,
    }


def _of_upstream(_session: Session, kind: NotificationKind, about: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    label = Upstream(about["upstream"]).label
    reason = harmless(own_words(about.get("reason") or ""))
    data = {"upstream": about["upstream"], "since": about["since"], "reason": reason or None}
    match kind:
        case NotificationKind.UPSTREAM_DOWN:
            return f"{label} does not answer{f': {reason}' if reason else ''}. Steps there wait until it does.", data
        case NotificationKind.UPSTREAM_UP:
            return f"{label} answers again, after {about['down_s']} s.", {**data, "down_s": about["down_s"]}
        case NotificationKind.UPSTREAM_REFUSED:
            remedy = harmless(about["remedy"])
            return f"{reason}. Steps there wait. {remedy}", {**data, "remedy": remedy}
    return f"{label} accepts Slipway's account again.", data


def _timestamp(at: Any) -> str:
    return str(at.isoformat().replace("+00:00", "Z"))

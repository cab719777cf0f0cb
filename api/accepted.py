"""What does a client get for work that was accepted?  Always the same: 202, the job's id, where to follow it."""

from __future__ import annotations

from flask import g

from api.routes import BASE, Answer, Result
from api.service import service
from common import jobs
from common.models import Job


class JobAccepted(Result):
    """The job, and the app it is about where there is one."""

    job_id: str
    status_url: str
    app_id: str | None = None


def accepted(job: Job) -> Answer:
    """Send the lanes of a committed job (a hint: without a broker the clocks do it later) and answer 202."""
    service().publisher.send(jobs.lanes(job))
    location = f"{BASE}/jobs/{job.id}"
    body = JobAccepted(job_id=job.id, status_url=location, app_id=job.app_id)
    return Answer(body=body, status=202, headers={"Location": location, "Retry-After": "1"})


def request_id() -> str:
    found: str = g.request_id
    return found

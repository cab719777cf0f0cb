"""What does a client get for work that was accepted?  Always the same: 202, the job's id, where to follow it."""

from __future__ import annotations

from collections.abc import Sequence

from flask import g

from api.routes import BASE, Answer, Result
from api.service import service
from common import jobs
from common.jobs import Lane
from common.models import Job, JobState


class JobAccepted(Result):
    """The job, and the app it is about where there is one."""

    job_id: str
    status_url: str
    app_id: str | None = None


def accepted(job: Job, *, lanes: Sequence[Lane] | None = None) -> Answer:
    """Send the lanes of a committed job (a hint: without a broker the clocks do it later) and answer 202.

    `lanes`: what is to be sent of a job that goes on; a job that has begun already is sent nothing by default.
    """
    if lanes is None:
        lanes = jobs.lanes(job) if job.state is JobState.QUEUED else []
    service().publisher.send(lanes)
    location = f"{BASE}/jobs/{job.id}"
    body = JobAccepted(job_id=job.id, status_url=location, app_id=job.app_id)
    return Answer(body=body, status=202, headers={"Location": location, "Retry-After": "1"})


def request_id() -> str:
    found: str = g.request_id
    return found

"""What does a client get for work that was accepted?  Always the same: 202, the job's id, where to follow it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flask import g

from api.contract.endpoint import BASE, Answer, ResponseBody
from api.service import service
from common.database.models import Job
from common.jobs import lifecycle
from common.jobs.lifecycle import LaneMessage
from common.states import JobState


class JobAccepted(ResponseBody):
    """The job, and the app it is about where there is one."""

    job_id: str
    status_url: str
    app_id: str | None = None


def accepted(
    job: Job, *, lanes: Sequence[LaneMessage] | None = None, headers: Mapping[str, str] | None = None
) -> Answer:
    """Return 202, with the lanes that are sent after the commit (a hint: without a broker the clocks do it later).

    `lanes`: what is to be sent of a job that goes on; a job that has begun already is sent nothing by default.
    """
    if lanes is None:
        lanes = lifecycle.lanes(job) if job.state is JobState.QUEUED else []
    location = f"{BASE}/jobs/{job.id}"
    body = JobAccepted(job_id=job.id, status_url=location, app_id=job.app_id)
    poll_delay_s = service().durations.first_poll_delay_s(job.kind)
    return Answer(
        body=body,
        status=202,
        headers={"Location": location, "Retry-After": str(poll_delay_s), **(headers or {})},
        lanes=lanes,
    )


def request_id() -> str:
    found: str = g.request_id
    return found

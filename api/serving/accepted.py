"""The response to every accepted job: 202, the job's id, and the URL to follow it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flask import g

from api.contract.endpoint import Answer, ResponseBody
from api.presentation import links
from api.service import service
from common.database.models import Job
from common.jobs import lane_messages
from common.jobs.lane_messages import LaneMessage
from common.states import JobState


class JobAccepted(ResponseBody):
    """The accepted job, and its app if it has one.

    `is_new` is false if the job existed: it does the same and is still open, or it is the job that was changed.
    """

    job_id: str
    status_url: str
    app_id: str | None = None
    is_new: bool = True


def accepted(
    job: Job,
    *,
    lanes: Sequence[LaneMessage] | None = None,
    headers: Mapping[str, str] | None = None,
    is_new: bool = True,
) -> Answer:
    """Return the 202 response, with the lane messages to send after the commit.

    The messages are only a hint: without a broker, the workers' clocks dispatch the job. `lanes` are the messages of a
    resumed job; by default, a new job sends one for each lane, and a job that has started sends none.
    """
    if lanes is None:
        lanes = lane_messages.of_new_job(job) if job.state is JobState.QUEUED else []
    location = links.of_call(f"/jobs/{job.id}")
    body = JobAccepted(job_id=job.id, status_url=location, app_id=job.app_id, is_new=is_new)
    poll_delay_s = service().durations.first_poll_delay_s(job.kind)
    return Answer(
        body=body,
        status=202,
        headers={"Location": location, "Retry-After": str(poll_delay_s), **(headers or {})},
        lanes=lanes,
    )


def request_id() -> str:
    current: str = g.request_id
    return current

"""Lanes without messages: what a worker that stops does not begin."""

from __future__ import annotations

from typing import Any

from common.jobs.lane_messages import LaneMessage
from worker.direct_lanes import DirectLanes

LANE = LaneMessage(job_id="job", kind="signup", steps=("create_gitlab_user",))


def test_a_worker_that_stops_while_lanes_are_sent_takes_none() -> None:
    no_database: Any = None
    ran: list[str] = []

    def stop_meanwhile() -> int:
        lanes.join()
        return 0

    lanes = DirectLanes(no_database, lambda _job, step, _rest: ran.append(step) is None, threads=1, busy=stop_meanwhile)

    assert lanes.send([LANE]) == 0
    assert ran == []
    assert lanes._running == 0  # noqa: SLF001 - nothing else shows it once it has stopped

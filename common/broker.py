"""The broker: the Celery app of a process, and the publisher of lane messages (`common/jobs/lane_messages.py`).

A lane travels as one Celery chain of tasks named `workflow.step`, each with the job's id and nothing else, and each
through the queue of its step's upstream. A worker takes from all of them, or from those of its option `-Q`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable

from celery import Celery, Signature, chain
from kombu import Queue  # type: ignore[attr-defined] # it ships no types

from common.broker_errors import TroubleReport
from common.config.settings import CommonSettings
from common.jobs.lane_messages import LaneMessage, TaskMessage
from common.workflows import Upstream

log = logging.getLogger(__name__)

QUEUES = tuple(upstream.value for upstream in Upstream)
REST_AFTER_FAILURE_S = 10.0


def celery_app(settings: CommonSettings, *, publishing_s: float = 0.5) -> Celery:
    """Return the Celery app of one process. `publishing_s` bounds how long a publisher waits for the broker."""
    app = Celery("slipway", broker=settings.redis_url.get_secret_value())
    app.conf.update(
        # A mapping of names would do, but not for Flower.
        task_queues=[Queue(name, routing_key=name) for name in QUEUES],  # type: ignore[no-untyped-call] # as above
        task_default_queue=Upstream.SLIPWAY.value,
        task_serializer="json",
        accept_content=["json"],  # no pickle: access to the broker must not allow running code
        task_ignore_result=True,  # the database has the results
        task_acks_late=False,  # a lost task comes back by its lease; late acks crash the worker when Redis drops
        worker_prefetch_multiplier=1,
        worker_pool="threads",  # steps wait on networks
        worker_send_task_events=True,  # Flower
        task_send_sent_event=True,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        worker_enable_prefetch_count_reduction=False,  # after a lost connection; our tasks are acknowledged early
        broker_pool_acquire_timeout=1,
        task_publish_retry=True,  # False alone makes a dead broker slower to notice
        task_publish_retry_policy={"max_retries": 1, "interval_start": 0, "interval_step": 0.1, "interval_max": 0.1},
        broker_transport_options={
            "socket_timeout": publishing_s,
            "socket_connect_timeout": publishing_s,
            "socket_keepalive": True,
            "health_check_interval": 10,
            "retry_on_timeout": False,
            "max_retries": 1,
            "interval_start": 0,
            "interval_step": 0.1,
            "interval_max": 0.1,
            "visibility_timeout": 600,
            "global_keyprefix": "slipway:",
        },
    )
    return app


class Publisher:
    """Sends lanes and never fails: an unavailable broker is left alone for a while, and the clocks send later."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._rest_until = 0.0
        self._report = TroubleReport(log, away="broker_unreachable", back="broker_reachable")

    @property
    def is_resting(self) -> bool:
        """Say whether the broker did not answer just now and is left alone."""
        return time.monotonic() < self._rest_until

    def send(self, lanes: Iterable[LaneMessage]) -> int:
        """Send what can be sent and return how many lanes went out."""
        sent = 0
        for lane in lanes:
            if self.is_resting or not self._send(lane):
                break
            sent += 1
        return sent

    def _send(self, lane: LaneMessage) -> bool:
        try:
            chain(*map(self._signature, lane.tasks), app=self._app).apply_async()
        except Exception as error:  # noqa: BLE001 - whatever it is: the job is accepted, and the clock finds it
            self._rest_until = time.monotonic() + REST_AFTER_FAILURE_S
            self._report.failed(error)
            return False
        self._report.works()
        return True

    def _signature(self, task: TaskMessage) -> Signature:
        return self._app.signature(task.name, args=(task.job_id,), immutable=True, options={"queue": task.queue})

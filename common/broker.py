"""The broker: the Celery app of a process, and the publisher of lane messages (`common/jobs/lane_messages.py`).

A lane travels as one Celery chain of tasks named `workflow.step`, each with the job's id and nothing else, and each
through the queue of its step's upstream. A worker takes from all of them, or from those of its option `-Q`.
"""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from queue import Empty, Full, Queue
from threading import Lock, Thread
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

from celery import Celery, Signature, chain
from kombu import Queue as TaskQueue  # type: ignore[attr-defined] # it ships no types
from kombu.utils.url import parse_ssl_cert_reqs

from common.broker_errors import TroubleReport
from common.config.broker_url import SENTINEL, SENTINEL_TLS, WITH_TLS, checks_host
from common.config.settings import CommonSettings
from common.jobs.lane_messages import LaneMessage, TaskMessage
from common.workflows import Upstream

log = logging.getLogger(__name__)

QUEUES = tuple(upstream.value for upstream in Upstream)
REST_AFTER_FAILURE_S = 10.0
HELD = 1000  # lanes that wait to be sent; beyond that the clocks send them
IDLE_S = 10.0  # after which a thread with nothing to send ends


def celery_app(settings: CommonSettings, *, publishing_s: float = 0.5) -> Celery:
    """Return the Celery app of one process. `publishing_s` bounds how long a publisher waits for the broker."""
    addresses = [urlsplit(text) for text in settings.redis_url.get_secret_value().split(";")]
    app = Celery("slipway", broker=";".join(map(_for_kombu, addresses)))
    tls = _tls(addresses[0], settings.redis_ca_file)
    waits = {"socket_timeout": publishing_s, "socket_connect_timeout": publishing_s}
    app.conf.update(
        broker_use_ssl=tls or None,
        # A mapping of names would do, but not for Flower.
        task_queues=[TaskQueue(name, routing_key=name) for name in QUEUES],  # type: ignore[no-untyped-call] # as above
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
            **waits,
            **_sentinel(settings, {**waits, **tls, "ssl": True} if tls else waits),
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


def _for_kombu(address: SplitResult) -> str:
    """Return an address without TLS, of which kombu is told apart: it knows no `sentinels`."""
    scheme = SENTINEL if address.scheme == SENTINEL_TLS else address.scheme
    return address._replace(scheme=scheme, query="").geturl()


def _tls(address: SplitResult, ca_file: Path | None) -> dict[str, Any]:
    """Return how certificates are checked; empty without TLS. kombu by itself speaks to `rediss` without any."""
    options: dict[str, Any] = dict(parse_qsl(address.query))
    if address.scheme not in WITH_TLS and not options:
        return {}
    trust = parse_ssl_cert_reqs(options.get("ssl_cert_reqs", "required"))
    is_host_checked = checks_host({"ssl_check_hostname": str(trust != ssl.CERT_NONE), **options})
    trusted = {"ssl_ca_certs": str(ca_file)} if ca_file else {}
    return {**trusted, **options, "ssl_cert_reqs": trust, "ssl_check_hostname": is_host_checked}


def _sentinel(settings: CommonSettings, connection: dict[str, Any]) -> dict[str, Any]:
    """Return what the transport needs to ask sentinels for the master; empty without sentinels."""
    if not settings.redis_sentinel_master:
        return {}
    password = settings.redis_sentinel_password
    login = {"password": password.get_secret_value()} if password else {}
    return {"master_name": settings.redis_sentinel_master, "sentinel_kwargs": {**connection, **login}}


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

    def backlog(self) -> frozenset[str]:
        """Return the queues in which messages wait; none while that cannot be asked."""
        if self.is_resting:
            return frozenset()
        try:
            with self._app.producer_or_acquire() as producer:
                pipeline = producer.channel.client.pipeline(transaction=False)
                for name in QUEUES:
                    pipeline.llen(name)
                lengths = pipeline.execute()
        except Exception as error:  # noqa: BLE001 - as in `_send`
            self._rest_until = time.monotonic() + REST_AFTER_FAILURE_S
            self._report.failed(error)
            return frozenset()
        return frozenset(name for name, length in zip(QUEUES, lengths, strict=True) if length)

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


class BackgroundPublisher(Publisher):
    """Sends on a thread of its own, so that nobody waits for the broker, however it fails.

    What it holds is lost with the process: a message is a hint, and the clocks find in the database what is due.
    """

    def __init__(self, app: Celery) -> None:
        super().__init__(app)
        self._held: Queue[LaneMessage] = Queue(HELD)
        self._lock = Lock()
        self._thread: Thread | None = None

    def send(self, lanes: Iterable[LaneMessage]) -> int:
        """Take over what can be held, and return how many lanes that is: none while the broker is left alone."""
        held = 0
        with self._lock, suppress(Full):
            for lane in () if self.is_resting else lanes:
                self._held.put_nowait(lane)
                held += 1
            if held and not (self._thread and self._thread.is_alive()):  # not alive: it was another process' thread
                self._thread = Thread(target=self._send_held, name="publisher", daemon=True)
                self._thread.start()
        return held

    def _send_held(self) -> None:
        while True:
            try:
                lane = self._held.get(timeout=IDLE_S)
            except Empty:
                with self._lock:
                    if self._held.empty():
                        self._thread = None
                        return
            else:
                super().send([lane])

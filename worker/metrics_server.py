"""The HTTP server of a worker: its metrics, with the token of the API's metrics, and its health, without.

`GET /healthz` is `python -m worker.healthcheck` for this process alone, without the start of another Python: on a busy
machine that start takes longer than a cluster waits, and the cluster would restart workers that are well.
"""

from __future__ import annotations

import errno
import logging
import os
import secrets
import sys
import threading
from socketserver import ThreadingTCPServer
from typing import Any

from celery.signals import worker_init, worker_shutdown
from prometheus_client import MetricsHandler, ProcessCollector

from common.admission.outages import HoldCode
from common.config.settings import Settings
from common.jobs.claims import ClaimRefused
from common.telemetry.metrics import (
    ATTEMPTS_LOST,
    CALL_ERROR_KINDS,
    CALL_ERRORS,
    CLAIMS_REFUSED,
    NOTIFICATION_OUTCOMES,
    NOTIFICATIONS,
    WORKER,
    begin_jobs_at_zero,
)
from common.workflows import WORKFLOWS, task_name
from worker import healthcheck

log = logging.getLogger(__name__)

PORTS = 10
READS_WITHIN_S = 5.0


class MetricsServer:
    """Serves on the first free port from `port` on; `start` and `stop` the thread that does."""

    def __init__(self, address: str, port: int, token: str) -> None:
        self._address = address
        self._port = port
        self._handler = type("Handler", (_Handler,), {"registry": WORKER, "authorization": f"Bearer {token}"})
        self._server: _Server | None = None

    def start(self) -> None:
        """Listen, or log that no port is free: a worker without metrics works all the same."""
        _begin_at_zero()
        self._server = self._first_free()
        if self._server is None:
            log.error("metrics_not_served", extra={"ports": f"{self._port} to {self._port + PORTS - 1}"})
            return
        log.info("metrics_served", extra={"port": self._server.server_address[1]})
        threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def _first_free(self) -> _Server | None:
        for port in range(self._port, self._port + PORTS):
            try:
                return _Server((self._address, port), self._handler)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
        return None


def _begin_at_zero() -> None:
    """Begin rare counters at 0: Prometheus sees no increase where a series begins with its first event."""
    begin_jobs_at_zero()
    for flow in WORKFLOWS.values():
        for step in flow.steps:
            ATTEMPTS_LOST.labels(task_name(flow.name, step.name))
            for upstream in step.visits:
                for kind in CALL_ERROR_KINDS:
                    CALL_ERRORS.labels(upstream.value, kind)
    for why in (*ClaimRefused, *HoldCode):
        CLAIMS_REFUSED.labels(why.name.lower())
    for outcome in NOTIFICATION_OUTCOMES:
        NOTIFICATIONS.labels(outcome)


def serve_while_running(config: Settings) -> None:
    """Serve as long as the worker runs, if a port is set."""
    if config.worker_metrics_port and config.metrics_token:
        token = config.metrics_token.get_secret_value()
        served = MetricsServer(config.worker_metrics_address, config.worker_metrics_port, token)
        worker_init.connect(lambda **_: served.start(), weak=False)
        worker_shutdown.connect(lambda **_: served.stop(), weak=False)


class _Server(ThreadingTCPServer):
    """Not the library's HTTP server: that one asks the DNS for our name before it listens."""

    allow_reuse_address = True
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the library's
        """Log what breaks, as everything else is logged. A client that hangs up, or is silent, breaks nothing."""
        if not isinstance(sys.exc_info()[1], OSError):
            log.exception("metrics_request_failed")


class _Handler(MetricsHandler):
    timeout = READS_WITHIN_S
    authorization: str

    def do_GET(self) -> None:  # noqa: N802 - the library's name
        if self.path == "/healthz":
            self._send_health()
            return
        sent = self.headers.get("Authorization", "")
        if not secrets.compare_digest(sent.encode(), self.authorization.encode()):
            self.send_error(401)
        elif self.path != "/metrics":
            self.send_error(404)
        else:
            super().do_GET()

    def _send_health(self) -> None:
        """Answer 503 when this process hangs. What hangs is for its log and for `python -m worker.healthcheck`."""
        hangs = healthcheck.problem(max_age_s=healthcheck.MAX_AGE_S, pid=str(os.getpid()))
        body = b'{"status":"unavailable"}\n' if hangs else b'{"status":"ok"}\n'
        self.send_response(503 if hangs else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


ProcessCollector(registry=WORKER)

"""A worker's own server: metrics for the token only, health for everybody, on the first free port."""

from __future__ import annotations

import os
import struct
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from socket import SO_LINGER, SOL_SOCKET, create_connection, create_server
from typing import Any

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families
from support.captured_telemetry import heard, samples_of
from support.services import free_port

from worker.healthcheck import HeartbeatRecord
from worker.liveness import WorkerRegister, directory_for
from worker.metrics_server import PORTS, MetricsServer

TOKEN = "a-token-of-the-metrics"
RESET = struct.pack("ii", 1, 0)  # what is closed is reset at once


@contextmanager
def _exposed(port: int) -> Iterator[dict[str, Any]]:
    """Serve from this port on; yields the line that is logged of it."""
    served = MetricsServer("127.0.0.1", port, TOKEN)
    with heard() as lines:
        served.start()
    try:
        yield lines[0]
    finally:
        served.stop()


def _get(port: int, path: str = "/metrics", token: str = TOKEN) -> requests.Response:
    return requests.get(f"http://127.0.0.1:{port}{path}", headers={"Authorization": f"Bearer {token}"}, timeout=10)


@pytest.mark.parametrize(
    ("path", "token", "status"),
    [
        ("/metrics", TOKEN, 200),
        ("/metrics", "another", 401),
        ("/metrics", f"{TOKEN}ü", 401),
        ("/", TOKEN, 404),
        ("/", "", 401),
    ],
)
def test_the_page_is_for_whoever_has_the_token(path: str, token: str, status: int) -> None:
    port = free_port()

    with _exposed(port):
        assert _get(port, path, token.encode().decode("latin-1")).status_code == status


def test_health_is_that_of_this_process_and_needs_no_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    port, register = free_port(), WorkerRegister(directory_for("mysql+pymysql://here/slipway"))
    shown: list[tuple[int, str]] = []

    with _exposed(port):
        for turn in ("no worker", "well", "hangs"):
            if turn == "well":
                register.sign_on(f"host:{os.getpid()}:1")
            if turn == "hangs":
                register.write_heartbeat(HeartbeatRecord(at_s=time.monotonic() - 121, turned_at_s=0))
            answer = _get(port, "/healthz", "no token")
            shown.append((answer.status_code, answer.json()["status"]))

    assert shown == [(503, "unavailable"), (200, "ok"), (503, "unavailable")]


def test_only_the_given_address_is_served() -> None:
    port = free_port()

    with _exposed(port), pytest.raises(ConnectionRefusedError):
        create_connection(("127.0.0.2", port))  # this machine, too, but another address: 0.0.0.0 would listen there


@pytest.mark.parametrize("sent", [b"", b"GET /met", b"GET /metrics HTTP/1.1\r\n", b"GET /metrics HTTP/1.1\r\n\r\n"])
def test_a_client_that_hangs_up_is_not_worth_a_line(sent: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    port = free_port()

    with _exposed(port):
        for _ in range(3):
            with create_connection(("127.0.0.1", port)) as client:
                client.setsockopt(SOL_SOCKET, SO_LINGER, RESET)
                client.sendall(sent)
        assert _get(port).status_code == 200  # the others are over by then
        while any("process_request_thread" in thread.name for thread in threading.enumerate()):
            time.sleep(0.01)

    assert capfd.readouterr() == ("", "")


def test_what_is_rare_is_there_before_it_happens() -> None:
    port = free_port()

    with _exposed(port):
        shown = samples_of(text_string_to_metric_families(_get(port).text))

    assert ("slipway_jobs_finished_total", "offboard", "failed") in shown
    assert ("slipway_attempts_lost_total", "offboard.block_gitlab_user") in shown
    assert ("slipway_upstream_errors_total", "timed_out", "gitlab") in shown
    assert ("slipway_claims_refused_total", "not_now") in shown
    assert ("slipway_notifications_total", "dropped") in shown


def test_the_next_worker_of_a_host_takes_another_port() -> None:
    with _exposed(free_port()) as first, _exposed(first["port"]) as second:
        assert first["port"] < second["port"] < first["port"] + PORTS
        assert _get(second["port"]).status_code == 200


def test_a_worker_that_finds_no_free_port_says_so_and_goes_on() -> None:
    first = free_port()
    with ExitStack() as taken:
        for port in range(first, first + PORTS):
            with suppress(OSError):  # somebody else has it: as good
                taken.enter_context(create_server(("", port)))

        with _exposed(first) as shown:
            assert shown["event"] == "metrics_not_served"

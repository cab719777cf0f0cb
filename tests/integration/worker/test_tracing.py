"""Traces cost nothing while they are off, lose nothing when a process ends, and never keep one from ending."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from socket import create_server

import pytest
from support.api import ENVIRONMENT
from support.checkout import ROOT
from support.collector import Span, collecting

MAKE_CALLS = """
import sys
from common.config import settings
from common.telemetry import tracing
from common.telemetry.span import Kind
from worker.upstreams.http import Http

tracing.configure(settings.load(settings.WorkerSettings), "a-service")
for parent in sys.argv[2:]:
    with tracing.span("work", Kind.CONSUMER, parent=parent, attributes={}):
        Http("GitLab", sys.argv[1]).send("GET", "version")
"""
IMPORT_ALL = """
import sys
from common.config import settings
from common.telemetry import tracing
import api, worker.runner

tracing.configure(settings.load(settings.WorkerSettings), "a-service")
print(*sys.modules)
"""
SPANS = (
    "common.telemetry.otlp",
    "opentelemetry.sdk.trace",
    "opentelemetry.exporter",
    "opentelemetry.proto",
    "google.protobuf",
)
TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE_ID}-{SPAN_ID}-01"
ENDS_WITHIN_S = 20  # OpenTelemetry's own shutdown takes half a minute


def _run(script: str, *arguments: str, **settings: str) -> str:
    """Run a script in a process of its own to its end and return what it printed."""
    environment = {**os.environ, **ENVIRONMENT, "DB_URL": "sqlite:////tmp/slipway.db", **settings}
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, timeout=ENDS_WITHIN_S, check=True
    ).stdout


@contextmanager
def _upstream() -> Iterator[tuple[str, list[str | None]]]:
    """Run an upstream; yields its address, and what requests had as their `traceparent`."""
    got: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            got.append(self.headers["traceparent"])
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", got
        server.shutdown()


def test_while_no_collector_is_set_nothing_that_makes_or_sends_spans_is_loaded() -> None:
    loaded = set(_run(IMPORT_ALL).split())  # with what redis-py loads of OpenTelemetry, and leaves alone

    assert "worker.runner" in loaded
    assert {name for name in loaded if name.startswith(SPANS)} == set()


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What a collector and an upstream got; `work` was done under a good parent, `other` under nonsense."""

    work: Span
    call: Span
    other: Span
    traceparents: list[str | None]


@pytest.fixture(scope="module")
def exported() -> Exported:
    with collecting() as collector, _upstream() as (url, got):
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_SERVICE_NAME": "slipway-in-town"}
        _run(MAKE_CALLS, url, PARENT, "00-nonsense", TRACE_UPSTREAMS="true", **settings)
    call, work, _, other = collector.spans()  # each is exported when it ends
    return Exported(work=work, call=call, other=other, traceparents=got)


def test_the_last_spans_of_a_process_go_out_when_it_ends(exported: Exported) -> None:
    assert (exported.work.name, exported.work.trace_id, exported.work.parent_id) == ("work", TRACE_ID, SPAN_ID)
    assert (exported.call.name, exported.call.trace_id, exported.call.parent_id) == (
        "GET GitLab",
        TRACE_ID,
        exported.work.span_id,
    )


def test_a_parent_that_is_nonsense_begins_a_trace(exported: Exported) -> None:
    assert exported.other.parent_id == ""
    assert exported.other.trace_id != TRACE_ID


def test_upstreams_get_the_trace_of_a_call_where_that_is_set(exported: Exported) -> None:
    assert exported.traceparents[0] == f"00-{TRACE_ID}-{exported.call.span_id}-01"


def test_a_service_has_the_name_that_the_operator_gives_it(exported: Exported) -> None:
    assert exported.work.service == "slipway-in-town"


def test_a_collector_that_says_nothing_keeps_no_process_from_ending_and_upstreams_are_not_told() -> None:
    with create_server(("127.0.0.1", 0)) as listener, _upstream() as (url, got):
        collector_url = f"http://127.0.0.1:{listener.getsockname()[1]}"

        _run(MAKE_CALLS, url, PARENT, OTEL_EXPORTER_OTLP_ENDPOINT=collector_url)

    assert got == [None]

"""Traces: the spans of one request, of the attempts of its job's steps, and of their calls to upstreams.

They go to an OpenTelemetry collector (`otlp.py`). While OTEL_EXPORTER_OTLP_ENDPOINT is not set, nothing that makes or
sends spans is imported, and a span does nothing. The request's trace continues in the worker because the job keeps its
W3C `traceparent`. A span never holds a body, a query or a header.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from enum import StrEnum
from typing import Protocol

from common.config.settings import Settings

Value = str | int | bool


class Kind(StrEnum):
    """Of a span, by OpenTelemetry's names."""

    SERVER = "SERVER"
    CONSUMER = "CONSUMER"
    CLIENT = "CLIENT"


class Span:
    """A stretch of work, of which nothing is told."""

    trace_id: str | None = None

    def set(self, attributes: Mapping[str, Value]) -> None:
        """Say more about it."""

    def fail(self, why: str) -> None:
        """Mark it as an error. `why` is a code of ours: a reason may quote an upstream."""


class Tracer(Protocol):
    """What a process traces with."""

    def span(
        self, name: str, kind: Kind, *, parent: str | None = None, attributes: Mapping[str, Value]
    ) -> AbstractContextManager[Span]: ...

    def traceparent(self) -> str | None: ...

    def headers(self) -> Mapping[str, str]: ...


_NOTHING = Span()
_tracer: Tracer | None = None


def configure(config: Settings, service: str) -> None:
    """Begin to trace as this service, if a collector is set. To be called in the process that does the work."""
    global _tracer
    if config.otel_exporter_otlp_endpoint is not None:
        from common.telemetry.otlp import CollectorTracer

        _tracer = CollectorTracer(config.otel_exporter_otlp_endpoint, service, tells_upstreams=config.trace_upstreams)


def span(
    name: str, kind: Kind, *, parent: str | None = None, attributes: Mapping[str, Value]
) -> AbstractContextManager[Span]:
    """Trace what is done inside. `parent` is the traceparent of a span elsewhere; None is the span around, if any."""
    return _tracer.span(name, kind, parent=parent, attributes=attributes) if _tracer else nullcontext(_NOTHING)


def traceparent() -> str | None:
    """Return what makes others' spans children of the present one; None while nothing is traced."""
    return _tracer.traceparent() if _tracer else None


def headers() -> Mapping[str, str]:
    """Return what a call tells an upstream of the trace: nothing, unless TRACE_UPSTREAMS."""
    return _tracer.headers() if _tracer else {}

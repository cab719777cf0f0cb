"""Traces: the spans of one request, of the attempts of its job's steps, and of their calls to upstreams.

They go to an OpenTelemetry collector (`otlp.py`). While OTEL_EXPORTER_OTLP_ENDPOINT is not set, nothing that makes or
sends spans is imported, and a span does nothing. The request's trace continues in the worker because the job keeps its
W3C `traceparent`. A span never holds a body, a query or a header.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

from common.config.settings import Settings
from common.telemetry.span import Kind, Span, Tracer, Value

_NOTHING = Span()
_tracer: Tracer | None = None


def configure(config: Settings, service: str) -> None:
    """Start tracing as this service if a collector is set. Call it in the process that does the work."""
    global _tracer
    if config.otel_exporter_otlp_endpoint is not None:
        from common.telemetry.otlp import CollectorTracer

        _tracer = CollectorTracer(config.otel_exporter_otlp_endpoint, service, to_upstreams=config.trace_upstreams)


def span(
    name: str, kind: Kind, *, parent: str | None = None, attributes: Mapping[str, Value]
) -> AbstractContextManager[Span]:
    """Trace the work done inside. `parent` is the traceparent of a span elsewhere; None: the enclosing span, if any."""
    return _tracer.span(name, kind, parent=parent, attributes=attributes) if _tracer else nullcontext(_NOTHING)


def traceparent() -> str | None:
    """Return the traceparent of the current span, for its children elsewhere; None while nothing is traced."""
    return _tracer.traceparent() if _tracer else None


def headers() -> Mapping[str, str]:
    """Return the trace headers of a call to an upstream: none, unless TRACE_UPSTREAMS is set."""
    return _tracer.headers() if _tracer else {}

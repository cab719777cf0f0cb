"""Export of spans to an OpenTelemetry collector: in batches, by OTLP over HTTP, from a background thread.

Imported only where a collector is set. The other variables that OpenTelemetry defines are its own to read, from the
environment: OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER, OTEL_EXPORTER_OTLP_HEADERS, …
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode, format_trace_id
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from common.telemetry.span import Kind, Span, Value

LAST_SENT_WITHIN_S = 3.0  # an unavailable collector must not keep a process from ending
_W3C = TraceContextTextMapPropagator()


class CollectedSpan(Span):
    """A span that is exported when it ends."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span
        self.trace_id = format_trace_id(span.get_span_context().trace_id)

    def set(self, attributes: Mapping[str, Value]) -> None:
        self._span.set_attributes(attributes)

    def fail(self, why: str) -> None:
        self._span.set_status(StatusCode.ERROR, why)


class CollectorTracer:
    """Traces as one service. What has not been sent yet goes out when the process ends, or never."""

    def __init__(self, endpoint: str, service: str, *, to_upstreams: bool) -> None:
        resource = Resource.create({"service.name": service}).merge(OTELResourceDetector().detect())
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces")))
        self._tracer = provider.get_tracer("slipway")
        self._to_upstreams = to_upstreams
        _shut_down_at_exit(provider)

    @contextmanager
    def span(
        self, name: str, kind: Kind, *, parent: str | None = None, attributes: Mapping[str, Value]
    ) -> Iterator[Span]:
        context = _W3C.extract({"traceparent": parent}) if parent else None
        with self._tracer.start_as_current_span(
            name,
            context,
            SpanKind[kind],
            attributes,
            record_exception=False,  # its text may quote an upstream
            set_status_on_exception=False,
        ) as span:
            yield CollectedSpan(span)

    def traceparent(self) -> str | None:
        carrier: dict[str, str] = {}
        _W3C.inject(carrier)
        return carrier.get("traceparent")

    def headers(self) -> Mapping[str, str]:
        carrier: dict[str, str] = {}
        if self._to_upstreams:
            _W3C.inject(carrier)
        return carrier


def _shut_down_at_exit(provider: TracerProvider) -> None:
    """Shut down within LAST_SENT_WITHIN_S; the library's own hook would wait for half a minute.

    The thread starts now, because none can once the interpreter is ending.
    """
    ending, ended = threading.Event(), threading.Event()

    def shut_down() -> None:
        ending.wait()
        provider.shutdown()
        ended.set()

    def end() -> None:
        ending.set()
        ended.wait(LAST_SENT_WITHIN_S)

    threading.Thread(target=shut_down, name="last spans", daemon=True).start()
    atexit.register(end)

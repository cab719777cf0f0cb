"""Spans and tracers as plain types: what `tracing` hands out and `otlp` implements."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from enum import StrEnum
from typing import Protocol

Value = str | int | bool


class Kind(StrEnum):
    """Kinds of spans, by OpenTelemetry's names."""

    SERVER = "SERVER"
    CONSUMER = "CONSUMER"
    CLIENT = "CLIENT"


class Span:
    """A stretch of work that is not recorded."""

    trace_id: str | None = None

    def set(self, attributes: Mapping[str, Value]) -> None:
        """Add attributes."""

    def fail(self, why: str) -> None:
        """Mark it as an error. `why` is a code of ours: a reason may quote an upstream."""


class Tracer(Protocol):
    """What a process traces with."""

    def span(
        self, name: str, kind: Kind, *, parent: str | None = None, attributes: Mapping[str, Value]
    ) -> AbstractContextManager[Span]: ...

    def traceparent(self) -> str | None: ...

    def headers(self) -> Mapping[str, str]: ...

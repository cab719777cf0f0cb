"""Log lines, metrics and spans of calls to upstreams.

Each records where a call went, how it ended and how long it took: no query, no header, no body.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPMethod
from urllib.parse import urlsplit

from common.errors import Permanent, StepError
from common.telemetry import metrics, tracing
from common.telemetry.span import Kind, Span
from common.workflows import Upstream
from worker.upstreams.transport import Watch

log = logging.getLogger(__name__)

SLOW_S = 5.0  # a call that takes longer is logged, whatever the level of the log


@dataclass(kw_only=True)
class UpstreamCall:
    """One call and its end: a status, or the kind of its failure. `headers` carry the trace."""

    upstream: str
    method: str
    path: str
    headers: Mapping[str, str]
    status: int | None = None
    failure: str = ""

    @property
    def is_well(self) -> bool:
        return self.status is not None and self.status != 429 and self.status < 500


@contextmanager
def record(upstream: str, method: str, url: str, watch: Watch, *, slow_s: float = SLOW_S) -> Iterator[UpstreamCall]:
    """Record the call that is made inside to the upstream with this label."""
    began_s, parts = time.monotonic(), urlsplit(url)
    attributes = {"http.request.method": method, "server.address": parts.hostname or ""}
    with tracing.span(f"{method} {upstream}", Kind.CLIENT, attributes=attributes) as span:
        name = Upstream.labelled(upstream) or "other"
        call = UpstreamCall(upstream=name, method=method, path=parts.path, headers=tracing.headers())
        try:
            yield call
        except StepError as error:
            call.failure = _kind_of(error, watch)
            raise
        finally:
            took_s = time.monotonic() - began_s
            _record_end(call, span, took_s, is_slow=took_s >= slow_s)


def _kind_of(error: StepError, watch: Watch) -> str:
    if isinstance(error, Permanent):
        return "invalid"
    if not watch.sent:
        return "unreachable"
    return "timed_out" if watch.expired else "broken"


def _record_end(call: UpstreamCall, span: Span, took_s: float, *, is_slow: bool) -> None:
    status = f"{call.status // 100}xx" if call.status else "none"
    method = call.method if call.method in HTTPMethod.__members__ else "other"
    metrics.CALL_S.labels(call.upstream, method, status).observe(took_s)
    if call.failure:
        metrics.CALL_ERRORS.labels(call.upstream, call.failure).inc()
        span.fail(call.failure)
    outcome = {"status": call.status} if call.status else {"failure": call.failure}
    if call.status:
        span.set({"http.response.status_code": call.status})
    level = logging.WARNING if not call.is_well else logging.INFO if is_slow else logging.DEBUG
    ms = round(took_s * 1000, 1)
    extra = {"upstream": call.upstream, "method": call.method, "path": call.path, **outcome, "ms": ms}
    log.log(level, "upstream_called", extra=extra)

"""What is told of a request?  A line of the log, a number for Prometheus, and a span where requests are traced.

Every line that is written meanwhile, by whatever code, has the request's id.
"""

from __future__ import annotations

import logging
import re
import time
from contextlib import ExitStack
from http import HTTPMethod
from urllib.parse import quote

from flask import Flask, Response, g, request
from structlog.contextvars import bound_contextvars

from api.contract.endpoint import BASE
from common.database.ids import new_id
from common.telemetry import tracing
from common.telemetry.metrics import REQUEST_S
from common.telemetry.tracing import Kind, Span

log = logging.getLogger(__name__)

REQUEST_ID = re.compile(r"[A-Za-z0-9-]{8,64}")
NO_ROUTE = "none"


def install(app: Flask) -> None:
    """Watch every request of the app, from before everything else that is installed to after it."""
    app.before_request(_begin)
    app.after_request(_end)
    app.teardown_request(_close)


def _begin() -> None:
    received = request.headers.get("X-Request-Id", "")
    g.request_id = received if REQUEST_ID.fullmatch(received) else new_id()
    g.began_s = time.monotonic()
    g.around = ExitStack()
    g.around.enter_context(bound_contextvars(request_id=g.request_id))
    g.span = Span()
    if request.path.startswith(BASE):
        _trace()


def _trace() -> None:
    """Trace what people do; what asks whether we are well asks too often."""
    attributes = {"http.request.method": _method(), "http.route": _route(), "slipway.request_id": g.request_id}
    parent = request.headers.get("traceparent")
    name = f"{_method()} {_route()}"
    g.span = g.around.enter_context(tracing.span(name, Kind.SERVER, parent=parent, attributes=attributes))
    if g.span.trace_id:
        g.around.enter_context(bound_contextvars(trace_id=g.span.trace_id))


def _end(response: Response) -> Response:
    took_s = time.monotonic() - g.began_s
    REQUEST_S.labels(_route(), _method(), str(response.status_code)).observe(took_s)
    g.span.set({"http.response.status_code": response.status_code})
    if response.status_code >= 500:
        g.span.fail(str(response.status_code))
    extra = {
        "method": request.method,
        "path": quote(request.path),  # a line break in a path must not begin a line of the log
        "status": response.status_code,
        "ms": round(took_s * 1000, 1),
    }
    log.info("request", extra=extra)
    return response


def _close(_error: BaseException | None) -> None:
    if "around" in g:  # there may be a context without a request that was served
        g.around.close()


def _method() -> str:
    return request.method if request.method in HTTPMethod.__members__ else "other"


def _route() -> str:
    return request.url_rule.rule if request.url_rule else NO_ROUTE

"""Telemetry of requests: a log line, a Prometheus histogram, and a span if tracing is enabled.

Every line that is logged during a request contains the request's id.
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
from common.telemetry.span import Kind, Span

log = logging.getLogger(__name__)

REQUEST_ID = re.compile(r"[A-Za-z0-9-]{8,64}")
NO_ROUTE = "none"


def install(app: Flask) -> None:
    """Observe every request of the app. Install this first, so that it encloses all other handlers."""
    app.before_request(_begin)
    app.after_request(_end)
    app.teardown_request(_close)


def _begin() -> None:
    received = request.headers.get("X-Request-Id", "")
    g.request_id = received if REQUEST_ID.fullmatch(received) else new_id()
    g.began_s = time.monotonic()
    g.context = ExitStack()
    g.context.enter_context(bound_contextvars(request_id=g.request_id))
    g.span = Span()
    if request.path.startswith(BASE):
        _trace()


def _trace() -> None:
    """Trace requests to the API; health checks and scrapes are too frequent to trace."""
    attributes = {"http.request.method": _method(), "http.route": _route(), "slipway.request_id": g.request_id}
    parent = request.headers.get("traceparent")
    name = f"{_method()} {_route()}"
    g.span = g.context.enter_context(tracing.span(name, Kind.SERVER, parent=parent, attributes=attributes))
    if g.span.trace_id:
        g.context.enter_context(bound_contextvars(trace_id=g.span.trace_id))


def _end(response: Response) -> Response:
    took_s = time.monotonic() - g.began_s
    REQUEST_S.labels(_route(), _method(), str(response.status_code)).observe(took_s)
    g.span.set({"http.response.status_code": response.status_code})
    if response.status_code >= 500:
        g.span.fail(str(response.status_code))
    extra = {
        "method": request.method,
        "path": quote(request.path),  # a line break in a path must not start a new log line
        "status": response.status_code,
        "ms": round(took_s * 1000, 1),
        "user": _login(),
    }
    log.info("request", extra=extra)
    return response


def _close(_error: BaseException | None) -> None:
    if "context" in g:  # an app context may end without a request
        g.context.close()


def _login() -> str | None:
    """Return who sent the request, as far as that was asked for; who has just logged in, too."""
    credential = g.get("credential")
    return g.get("login") or (credential.user.login if credential else None)


def _method() -> str:
    return request.method if request.method in HTTPMethod.__members__ else "other"


def _route() -> str:
    return request.url_rule.rule if request.url_rule else NO_ROUTE

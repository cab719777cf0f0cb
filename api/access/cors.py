"""Which pages of other origins may call the API?  Those of CORS_ORIGINS; without it, none.

They send the token of a log-in as `Authorization: Bearer`. Credentials of the browser's own (the cookie) are never
allowed: a page of another origin that was broken into could then write as whoever happens to be logged in.
"""

from __future__ import annotations

from collections.abc import Sequence

from flask import Flask, Response, current_app, request

HEADERS_SENT = "Authorization, Content-Type, If-None-Match, Idempotency-Key, Last-Event-ID, X-Request-Id"
HEADERS_SHOWN = "ETag, Idempotency-Replayed, Link, Location, Retry-After, X-Request-Id"
MAX_AGE_S = 600


def install(app: Flask, origins: Sequence[str]) -> None:
    """Answer pages of these origins; with none, the app stays as it is."""
    if not origins:
        return

    def answer_preflight() -> Response | None:
        is_preflight = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
        return _preflight_answer() if is_preflight and request.url_rule and _is_from(origins) else None

    def admit(response: Response) -> Response:
        response.vary.add("Origin")  # always: what is kept for one origin must not be shown to another
        if _is_from(origins):
            response.access_control_allow_origin = request.headers["Origin"]
            response.headers["Access-Control-Expose-Headers"] = HEADERS_SHOWN
        return response

    app.before_request(answer_preflight)
    app.after_request(admit)


def _is_from(origins: Sequence[str]) -> bool:
    return request.headers.get("Origin") in origins


def _preflight_answer() -> Response:
    methods = set(current_app.make_default_options_response().allow) - {"OPTIONS"}
    answer = Response(status=204)
    del answer.headers["Content-Type"]  # of nothing
    answer.headers["Access-Control-Allow-Methods"] = ", ".join(sorted(methods))
    answer.headers["Access-Control-Allow-Headers"] = HEADERS_SENT
    answer.headers["Access-Control-Max-Age"] = str(MAX_AGE_S)
    return answer

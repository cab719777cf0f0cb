"""Cross-origin requests (CORS): pages of the origins in CORS_ORIGINS may call the API; without the setting, none may.

Such pages send the token of a login as `Authorization: Bearer`. The browser's cookie is never allowed: a compromised
page of another origin could otherwise write in the name of any user who is logged in.
"""

from __future__ import annotations

from collections.abc import Sequence

from flask import Flask, Response, current_app, request

from api.service import service

HEADERS_SENT = "Authorization, Content-Type, If-None-Match, Idempotency-Key, Last-Event-ID, X-Request-Id"
HEADERS_SHOWN = "ETag, Idempotency-Replayed, Link, Location, Retry-After, X-Request-Id"
MAX_AGE_S = 600


def install(app: Flask, origins: Sequence[str]) -> None:
    """Allow pages of these origins; with no origins, leave the app unchanged."""
    if not origins:
        return

    def answer_preflight() -> Response | None:
        is_preflight = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
        return _preflight_answer() if is_preflight and request.url_rule and _is_from(origins) else None

    def admit(response: Response) -> Response:
        response.vary.add("Origin")  # always: a response cached for one origin must not be served to another
        if _is_from(origins):
            response.access_control_allow_origin = request.headers["Origin"]
            response.headers["Access-Control-Expose-Headers"] = HEADERS_SHOWN
        return response

    app.before_request(answer_preflight)
    app.after_request(admit)


def is_allowed() -> bool:
    """Say whether this request comes from a page of an allowed origin, as its browser says."""
    return _is_from(service().settings.cors_origins)


def _is_from(origins: Sequence[str]) -> bool:
    return request.headers.get("Origin") in origins


def _preflight_answer() -> Response:
    methods = set(current_app.make_default_options_response().allow) - {"OPTIONS"}
    answer = Response(status=204)
    del answer.headers["Content-Type"]  # there is no body
    answer.headers["Access-Control-Allow-Methods"] = ", ".join(sorted(methods))
    answer.headers["Access-Control-Allow-Headers"] = HEADERS_SENT
    answer.headers["Access-Control-Max-Age"] = str(MAX_AGE_S)
    return answer

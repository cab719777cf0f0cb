"""The endpoint `/openapi.json`; the document is built at the first request."""

from __future__ import annotations

import json
from functools import lru_cache

from flask import Blueprint, Flask, Response, current_app, request

from api.access import auth
from api.contract.endpoint import JSON, Policy, ResponseBody
from api.openapi import build
from api.service import service
from api.serving.routing import declared_endpoints, route

blueprint = Blueprint("document", __name__)

EXTENSION = "slipway openapi"
MAX_AGE_S = 300


class OpenApi(ResponseBody):
    """An OpenAPI 3.1 document."""


def install(app: Flask) -> None:
    """Prepare the document of an app whose endpoints are all registered. Raises RuntimeError for an undeclared one.

    Building it takes time, and many processes, such as commands, never need it.
    """
    calls = declared_endpoints(app)

    @lru_cache(None)  # the name of the cookie is one of two: whoever makes up prefixes causes no further work
    def rendered(cookie: str) -> str:
        document = build.document(calls, service().catalog, cookie=cookie)
        del document["servers"]
        return json.dumps(document).removesuffix("}")

    def served_at(root: str) -> bytes:
        return f'{rendered(auth.cookie_name())}, "servers": {json.dumps(build.servers(root))}}}'.encode()

    app.extensions[EXTENSION] = served_at


@route(blueprint, "GET", "/openapi.json", policy=Policy.PUBLIC, answers={200: OpenApi}, base="")
def show_document() -> Response:
    """Get this document."""
    headers = {"Cache-Control": f"public, max-age={MAX_AGE_S}", "Vary": "X-Forwarded-Prefix"}
    return Response(current_app.extensions[EXTENSION](request.script_root or "/"), mimetype=JSON, headers=headers)

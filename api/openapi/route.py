"""Where is the OpenAPI document?  At `/openapi.json`, made when it is first asked for."""

from __future__ import annotations

import json
from functools import cache

from flask import Blueprint, Flask, Response, current_app

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
    """Keep the document of an app that has all its calls. Raises RuntimeError for a call that nobody declared_endpoints.

    It takes a while to make, and many a process, such as a command's, never shows it.
    """
    calls = declared_endpoints(app)

    @cache
    def rendered() -> bytes:
        return json.dumps(build.document(calls, service().catalog, cookie=auth.cookie_name())).encode()

    app.extensions[EXTENSION] = rendered


@route(blueprint, "GET", "/openapi.json", policy=Policy.PUBLIC, answers={200: OpenApi}, base="")
def show_document() -> Response:
    """Read this document."""
    headers = {"Cache-Control": f"public, max-age={MAX_AGE_S}"}
    return Response(current_app.extensions[EXTENSION](), mimetype=JSON, headers=headers)

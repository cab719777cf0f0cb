"""Where is the OpenAPI document?  At `/openapi.json`, made when it is first asked for."""

from __future__ import annotations

import json
from functools import cache

from flask import Blueprint, Flask, Response, current_app

from api.access import auth
from api.contract.endpoint import JSON, Policy, ResponseBody
from api.openapi import build
from api.service import service
from api.serving.routing import declared, route

blueprint = Blueprint("document", __name__)

KEPT = "slipway openapi"
FRESH_S = 300


class OpenApi(ResponseBody):
    """An OpenAPI 3.1 document."""


def keep(app: Flask) -> None:
    """Keep the document of an app that has all its calls. Raises RuntimeError for a call that nobody declared.

    It takes a while to make, and many a process, such as a command's, never shows it.
    """
    calls = declared(app)

    @cache
    def made() -> bytes:
        return json.dumps(build.document(calls, service().catalog, cookie=auth.cookie_name())).encode()

    app.extensions[KEPT] = made


@route(blueprint, "GET", "/openapi.json", policy=Policy.PUBLIC, answers={200: OpenApi}, base="")
def show_document() -> Response:
    """Read this document."""
    headers = {"Cache-Control": f"public, max-age={FRESH_S}"}
    return Response(current_app.extensions[KEPT](), mimetype=JSON, headers=headers)

"""Where is the OpenAPI document?  At `/openapi.json`, made once when the process starts."""

from __future__ import annotations

import json

from flask import Blueprint, Flask, Response, current_app

from api import auth, openapi
from api.calls import JSON, Policy, Result
from api.routes import declared, route
from api.service import service

blueprint = Blueprint("document", __name__)

KEPT = "slipway openapi"
FRESH_S = 300


class OpenApi(Result):
    """An OpenAPI 3.1 document."""


def keep(app: Flask) -> None:
    """Make the document of an app that has all its calls. Raises RuntimeError for a call that nobody declared."""
    with app.app_context():
        made = openapi.document(declared(app), service().catalog, cookie=auth.cookie_name())
    app.extensions[KEPT] = json.dumps(made).encode()


@route(blueprint, "GET", "/openapi.json", policy=Policy.PUBLIC, answers={200: OpenApi}, base="")
def show_document() -> Response:
    """Read this document."""
    headers = {"Cache-Control": f"public, max-age={FRESH_S}"}
    return Response(current_app.extensions[KEPT], mimetype=JSON, headers=headers)

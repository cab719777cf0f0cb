"""The API reference in a browser: Swagger UI for /openapi.json, served from this host with no inline code."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from string import Template
from typing import ClassVar

from flask import Blueprint, Response

from api.contract.endpoint import Policy, ResponseBody
from api.contract.problems import Problem
from api.serving import static_files
from api.serving.routing import route

blueprint = Blueprint("docs", __name__)

SWAGGER_UI = files("flask_swagger_ui") / "dist"  # Apache-2.0; only its files are used, not the plugin
ASSETS = {
    "docs.js": (files(__package__) / "docs.js", "text/javascript"),
    "swagger-ui-bundle.js": (SWAGGER_UI / "swagger-ui-bundle.js", "text/javascript"),
    "swagger-ui.css": (SWAGGER_UI / "swagger-ui.css", "text/css"),
    "icon.png": (SWAGGER_UI / "favicon-32x32.png", "image/png"),
}
PAGE = Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Slipway</title>
<link rel="icon" href="docs/assets/icon.png?$icon">
<link rel="stylesheet" href="docs/assets/swagger-ui.css?$style">
</head>
<body>
<div id="swagger-ui"></div>
<noscript>This page needs JavaScript. The OpenAPI document is at <a href="openapi.json">openapi.json</a>.</noscript>
<script src="docs/assets/swagger-ui-bundle.js?$bundle"></script>
<script src="docs/assets/docs.js?$start"></script>
</body>
</html>
""")


class DocsPage(ResponseBody):
    """The page of the API reference."""

    media_type: ClassVar[str] = "text/html"


class DocsFile(ResponseBody):
    """A file of the page."""

    media_type: ClassVar[str] = "*/*"


@route(blueprint, "GET", "/docs", policy=Policy.PUBLIC, answers={200: DocsPage}, base="")
def show_docs() -> Response:
    """Read the API reference in a browser, and try requests."""
    return static_files.page(_page())


@route(blueprint, "GET", "/docs/assets/<file>", policy=Policy.PUBLIC, answers={200: DocsFile, 304: None}, base="")
def send_asset(file: str) -> Response:
    """Get a file of the API reference page."""
    if file not in ASSETS:
        raise Problem("not_found")
    return static_files.send(_asset(file), cache_control=static_files.A_YEAR)  # asked for with its hash, see _page


@cache
def _page() -> str:
    """Return the page, which refers to each file by its hash, so that browsers fetch a changed file."""
    named = {"icon": "icon.png", "style": "swagger-ui.css", "bundle": "swagger-ui-bundle.js", "start": "docs.js"}
    return PAGE.substitute({name: _asset(file).digest for name, file in named.items()})


@cache
def _asset(file: str) -> static_files.Asset:
    source, media_type = ASSETS[file]
    return static_files.load(source.read_bytes, media_type)

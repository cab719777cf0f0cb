"""The API reference in a browser: Swagger UI for /openapi.json, served from this host with no inline code."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from string import Template
from typing import ClassVar

from flask import Blueprint, Response, request

from api.contract.endpoint import Policy, ResponseBody
from api.contract.problems import Problem
from api.serving.routing import route

blueprint = Blueprint("docs", __name__)

SWAGGER_UI = files("flask_swagger_ui") / "dist"  # Apache-2.0; only its files are used, not the plugin
ASSETS = {
    "docs.js": (files(__package__) / "docs.js", "text/javascript"),
    "swagger-ui-bundle.js": (SWAGGER_UI / "swagger-ui-bundle.js", "text/javascript"),
    "swagger-ui.css": (SWAGGER_UI / "swagger-ui.css", "text/css"),
    "icon.png": (SWAGGER_UI / "favicon-32x32.png", "image/png"),
}
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",  # the style sheet embeds icons as data URLs
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
A_YEAR = "public, max-age=31536000, immutable"  # the page requests each file with its hash, see _page
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


@dataclass(frozen=True, kw_only=True)
class Asset:
    """One file, plain and compressed."""

    content: bytes
    zipped: bytes
    media_type: str
    digest: str


@route(blueprint, "GET", "/docs", policy=Policy.PUBLIC, answers={200: DocsPage}, base="")
def show_docs() -> Response:
    """Read the API reference in a browser, and try requests."""
    page = Response(_page(), mimetype=DocsPage.media_type)
    page.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    page.headers["Cross-Origin-Opener-Policy"] = "same-origin"  # the page that opened it cannot control it
    return page


@route(blueprint, "GET", "/docs/assets/<file>", policy=Policy.PUBLIC, answers={200: DocsFile, 304: None}, base="")
def send_asset(file: str) -> Response:
    """Get a file of the API reference page."""
    if file not in ASSETS:
        raise Problem("not_found")
    asset = _asset(file)
    is_zipped = request.accept_encodings["gzip"] > 0
    answer = Response(asset.zipped if is_zipped else asset.content, mimetype=asset.media_type)
    if is_zipped:
        answer.content_encoding = "gzip"
    answer.vary.add("Accept-Encoding")
    answer.headers["Cache-Control"] = A_YEAR
    answer.set_etag(asset.digest, weak=True)  # the same file, zipped or not
    answer.make_conditional(request)
    return answer


@cache
def _page() -> str:
    """Return the page, which refers to each file by its hash, so that browsers fetch a changed file."""
    named = {"icon": "icon.png", "style": "swagger-ui.css", "bundle": "swagger-ui-bundle.js", "start": "docs.js"}
    return PAGE.substitute({name: _asset(file).digest for name, file in named.items()})


@cache
def _asset(file: str) -> Asset:
    source, media_type = ASSETS[file]
    content = source.read_bytes()
    digest = sha256(content).hexdigest()[:16]
    return Asset(
        content=content, zipped=gzip.compress(content, compresslevel=6, mtime=0), media_type=media_type, digest=digest
    )

"""The web console: its page and files, and the start page that links it. The console itself calls only this API."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from string import Template
from typing import ClassVar

from flask import Blueprint, Response, request

from api.contract.endpoint import BASE, JSON, Policy, ResponseBody
from api.contract.problems import Problem
from api.serving import static_files
from api.serving.routing import route

blueprint = Blueprint("console", __name__)

HTML = "text/html"
DIRECTORY = Path(__file__).parents[2] / "console/static"
MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
FIRST = "main.js"  # imports all others
# No text that arrives from outside can become code, even if the console had such a fault.
POLICY = f"{static_files.CONTENT_SECURITY_POLICY}; require-trusted-types-for 'script'; trusted-types 'none'"


class Start(ResponseBody):
    """Paths of this server."""

    name: str
    console: str
    documentation: str
    openapi: str
    api: str
    health: str


class ConsolePage(ResponseBody):
    """The page of the console."""

    media_type: ClassVar[str] = "text/html"


class ConsoleFile(ResponseBody):
    """A file of the console."""

    media_type: ClassVar[str] = "*/*"


@route(blueprint, "GET", "/", policy=Policy.PUBLIC, answers={200: Start}, base="")
def show_start() -> Response:
    """Find the console, the API reference and the description for programs.

    Browsers get a page with links.
    """
    is_page = request.accept_mimetypes.best_match([JSON, HTML]) == HTML
    if is_page:
        answer = static_files.page(_page("start.html"), policy=POLICY)
    else:
        root = request.script_root
        paths = {"console": "/console", "documentation": "/docs", "openapi": "/openapi.json", "health": "/readyz"}
        start = Start(name="Slipway", api=f"{root}{BASE}", **{name: root + path for name, path in paths.items()})
        answer = Response(start.model_dump_json(), mimetype=JSON)
    answer.vary.add("Accept")
    return answer


@route(blueprint, "GET", "/console", policy=Policy.PUBLIC, answers={200: ConsolePage}, base="")
def show_console() -> Response:
    """Open the web console in a browser."""
    return static_files.page(_page("index.html"), policy=POLICY)


@route(
    blueprint,
    "GET",
    "/console/assets/<version>/<file>",
    policy=Policy.PUBLIC,
    answers={200: ConsoleFile, 304: None},
    base="",
)
def send_console_file(version: str, file: str) -> Response:
    """Get a file of the console.

    `version` is that of all files together. With another one, as while replicas are being replaced, the response is the
    present file, and browsers ask again each time.
    """
    asset = files().get(file)
    if asset is None:
        raise Problem("not_found")
    is_present = version == version_of_all()
    return static_files.send(asset, cache_control=static_files.A_YEAR if is_present else static_files.ASK_FIRST)


@cache
def files() -> dict[str, static_files.Asset]:
    """Return every file that is served, by name."""
    return {
        path.name: static_files.load(path.read_bytes, MEDIA_TYPES[path.suffix])
        for path in sorted(DIRECTORY.iterdir())
        if path.suffix in MEDIA_TYPES
    }


@cache
def version_of_all() -> str:
    """Return the version of the files together: modules import each other by relative addresses, which hold it."""
    return static_files.digest_of("".join(asset.digest for asset in files().values()).encode())


@cache
def _page(name: str) -> str:
    scripts = (file for file in files() if file.endswith(".js") and file != FIRST)
    preloads = (f'<link rel="modulepreload" href="console/assets/{version_of_all()}/{file}">' for file in scripts)
    text = (DIRECTORY / name).read_text(encoding="utf-8")
    return Template(text).substitute(version=version_of_all(), preloads="\n".join(preloads))

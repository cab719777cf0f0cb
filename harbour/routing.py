"""Routes of a stand-in: how its handlers are declared and found."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from werkzeug.wrappers import Response

Handler = Callable[..., Response]


def route(method: str, pattern: str) -> Callable[[Handler], Handler]:
    """Declare a handler: `:name` is one raw path segment, given to the handler decoded."""
    expression = re.compile(re.sub(r":(\w+)", r"(?P<\1>[^/]+)", pattern.rstrip("/")) + "/?")

    def mark(handler: Handler) -> Handler:
        handler.__dict__.setdefault("routes", []).append((method, expression))
        return handler

    return mark


def collect_routes(service: object) -> list[tuple[str, re.Pattern[str], Handler]]:
    """Return method, pattern and bound handler of each route, in the order in which they are tried."""
    table = []
    for name in dir(type(service)):
        handler = getattr(type(service), name)
        for method, expression in getattr(handler, "routes", ()):
            table.append((method, expression, getattr(service, name)))
    return sorted(table, key=lambda row: row[1].groups)  # a literal segment wins over a parameter


def raw_path(environ: dict[str, Any]) -> str:
    """Return the path as it was sent, `%2F` and all."""
    return str(environ.get("RAW_URI") or environ.get("REQUEST_URI") or environ["PATH_INFO"]).partition("?")[0]

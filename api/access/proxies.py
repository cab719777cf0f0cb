"""What proxies in front of the API say of a request: the client's address, and the prefix that they removed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PREFIX = re.compile(r"(/(?!\.+(/|$))[A-Za-z0-9._~-]+)+")  # it becomes part of links: no host, no step upwards

LONGEST_PREFIX = 200  # characters: it is repeated in each link


def trust_proxies(app: Flask, count: int) -> None:
    """Take the client's address from the headers of `count` proxies, and the path's prefix from that of the nearest.

    Their other headers are ignored. Anyone could send these without a proxy: with a `count` of 0 they are ignored, too.
    """
    if count:
        below_prefix = _take_prefix(app.wsgi_app)
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign] # as Flask documents it
            below_prefix, x_for=count, x_proto=0, x_host=0, x_port=0, x_prefix=0
        )


def _take_prefix(app: WSGIApplication) -> WSGIApplication:
    """Serve below `X-Forwarded-Prefix`, under which clients reach what we serve at `/`."""

    def prefixed(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        prefix = environ.get("HTTP_X_FORWARDED_PREFIX", "").rpartition(",")[2].strip().rstrip("/")
        if len(prefix) <= LONGEST_PREFIX and PREFIX.fullmatch(prefix):
            environ["SCRIPT_NAME"] = prefix
        return app(environ, start_response)

    return prefixed

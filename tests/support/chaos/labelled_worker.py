"""A worker whose calls say for which request and step they are made: `python -m support.chaos.labelled_worker …`.

It is Celery's own command with our app, as operators type it. Only the User-Agent differs, so that the stand-ins can
hold the calls of one step of one job, and count them.
"""

from __future__ import annotations

import sys
from typing import Any

import requests
from celery.__main__ import main
from structlog.contextvars import get_contextvars

_send = requests.Session.send


def _labelled(self: requests.Session, request: requests.PreparedRequest, **options: Any) -> requests.Response:
    bound = get_contextvars()
    if "request_id" in bound:
        request.headers["User-Agent"] = f"slipway {bound['request_id']}/{bound['step']}"
    return _send(self, request, **options)


if __name__ == "__main__":
    requests.Session.send = _labelled  # type: ignore[method-assign]
    sys.argv = ["celery", "-A", "worker", "worker", *sys.argv[1:]]
    main()

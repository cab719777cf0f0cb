"""A worker whose calls say for which request and step they are made: `python -m support.chaos.labelled_worker …`.

It is Celery's own command with our app, as operators type it. Two things differ, so that the stand-ins can hold the
calls of one step of each job at once, and count them: the User-Agent, and the time that a call waits for its answer.
"""

from __future__ import annotations

import sys
from typing import Any

import requests
from celery.__main__ import main
from structlog.contextvars import get_contextvars

ANSWERED_S = 25.0  # within the limit of every step
_send = requests.Session.send


def _labelled(self: requests.Session, request: requests.PreparedRequest, **options: Any) -> requests.Response:
    bound = get_contextvars()
    if "request_id" in bound:
        request.headers["User-Agent"] = f"slipway {bound['request_id']}/{bound['step']}"
    connect_s, read_s = options["timeout"]
    return _send(self, request, **{**options, "timeout": (connect_s, max(read_s, ANSWERED_S))})


if __name__ == "__main__":
    requests.Session.send = _labelled  # type: ignore[method-assign]
    sys.argv = ["celery", "-A", "worker", "worker", *sys.argv[1:]]
    main()

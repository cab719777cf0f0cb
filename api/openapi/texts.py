"""What does the OpenAPI document say besides what the declarations say?  Plain data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.contract import fields, validation
from api.serving import idempotency
from common.admission.outages import EXTERNAL

Schema = dict[str, Any]

VERSION = "1.0.0"  # of the interface: grows with every change of it
ABOUT = """\
Sign-ups, apps, builds and deployments, each accepted as a **job** that is followed by its id.

- **Every accepted job** answers 202 with `Location`, `job_id` and `status_url`. Poll it with `ETag` and
  `If-None-Match`, hold a poll open with `?wait=`, or follow its events; whoever changes from one to the other misses
  nothing.
- **Repeat a write safely** with an `Idempotency-Key`: for 24 hours the same key with the same request gets the first
  answer, whatever happened to that on the way. A key that comes with another request is refused; what was refused is
  judged anew.
- **Errors** are problem details (RFC 9457): `code` is stable, `remedy` says what to do, `errors` names the fields at
  fault, `request_id` finds the request in the log. All codes are under `components.x-problem-codes`.
- **Lists** are newest first. Send `next` back as `cursor` until it is null.
- **What is not your team's** is answered like what does not exist.
"""
TAGS = {
    "signup": "How a person gets their accounts.",
    "login": "Tokens, and who has them.",
    "projects": "What groups apps.",
    "apps": "Repositories, pipeline and application, made from one request.",
    "builds": "Runs of an app's pipeline.",
    "deploys": "What runs on the cluster.",
    "lifecycle": "Comparison, repair and removal of an app.",
    "jobs": "What was accepted, and what has become of it.",
    "interventions": "What people do to a job.",
    "upstreams": "Whether GitLab, Jenkins, Argo CD and Elasticsearch can be worked with.",
    "users": "People who leave.",
    "health": "For those who operate this.",
    "metrics": "Numbers for Prometheus.",
    "document": "This document.",
    "docs": "This document, to be read and tried.",
}
EVENTS = "text/event-stream"
EVENT: Mapping[str, Schema] = {
    "id": {"type": "string", "description": "Its number."},
    "event": {"type": "string", "const": "change"},
}
SUCCESSES = {
    200: "Done.",
    201: "Made.",
    202: "Accepted: follow the job.",
    204: "Done, with nothing to say.",
    304: "No change.",
}

_ID: Schema = {"type": "string", "pattern": f"^{validation.ID.pattern}$"}
_NAME: Schema = {"type": "string", **fields.NAME}
PATH: Mapping[str, Schema] = {
    "app_id": _ID,
    "project_id": _ID,
    "job_id": _ID,
    "team_id": {"type": "string", "pattern": f"^{validation.TEAM.pattern}$"},
    "login": _NAME,
    "upstream": {"type": "string", "enum": list(EXTERNAL)},
    "step": {"type": "string", "pattern": "^[a-z_]{3,40}$"},
    "file": {"type": "string", "pattern": "^[a-z-]{1,40}\\.[a-z]{2,4}$"},
}


def _header(name: str, description: str, schema: Schema) -> Schema:
    return {"name": name, "in": "header", "description": description, "schema": {"type": "string", **schema}}


KEY = _header(
    idempotency.HEADER,
    "Of your own making, new for each request, the same when you repeat it.",
    {"pattern": f"^(?:{idempotency.KEY.pattern})$"},
)
IF_NONE_MATCH = _header("If-None-Match", "The `ETag` of the answer that you have.", {})
LAST_EVENT = _header("Last-Event-ID", "The id of the last event that you have.", {"pattern": "^[0-9]{1,9}$"})


def _response_header(description: str, kind: str = "string") -> Schema:
    return {"description": description, "schema": {"type": kind}}


REQUEST_ID = {"X-Request-Id": _response_header("Finds the request in the log; your own is taken over.")}
RETRY_AFTER = {"Retry-After": _response_header("When to come again, in seconds.", "integer")}
LOCATION = {"Location": _response_header("What to follow.")}
ETAG = {"ETag": _response_header("Stands for the present state.")}
REPLAYED = {idempotency.REPLAYED_HEADER: _response_header("`true` on the answer to a request that was made before.")}
CHALLENGE = {"WWW-Authenticate": _response_header("`Bearer`")}

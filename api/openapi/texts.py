"""Texts and fixed schemas of the OpenAPI document that no declaration contains; plain data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.contract import fields, validation
from api.serving import idempotency
from common.workflows import EXTERNAL

Schema = dict[str, Any]

_LABELS = [upstream.label for upstream in EXTERNAL]
_UPSTREAMS = f"{', '.join(_LABELS[:-1])} and {_LABELS[-1]}"

VERSION = "1.0.0"  # of the interface; it grows with every change
ABOUT = """\
Sign-ups, apps, builds and deployments. Each request is accepted as a **job**, and you follow the job by its ID.

- **Accepted jobs**: the response is 202 with `Location`, `job_id` and `status_url`. Poll the job with `ETag` and
  `If-None-Match`, use long polling with `?wait=`, or subscribe to its events. You can switch between these without
  missing a change.
- **Safe retries**: send an `Idempotency-Key` with every write. For 24 hours, repeating the same request with the same
  key returns the first response, even if that response was lost. A key that was used for a different request is
  refused. Refused requests are not stored; a repeated one is evaluated again.
- **Errors** are problem details (RFC 9457): `code` is stable, `remedy` says what to do, `errors` lists the invalid
  fields, and `request_id` identifies the request in the log. All codes are under `components.x-problem-codes`.
- **Lists** are sorted newest first. To get the next page, send `next` as `cursor`; on the last page it is null.
- **Resources of other teams** are reported as not found.
"""
TAGS = {
    "signup": "Sign-up: accounts for a new user.",
    "confirmations": "Confirmation of the e-mail address of a new user.",
    "login": "Login, logout and the current user.",
    "passwords": "Change of a password, and reset by a one-time code.",
    "sessions": "Your sessions: list and end them.",
    "tokens": "Your API tokens, for automation.",
    "teams": "Teams and types of the catalog, and the members of a team.",
    "projects": "Projects, which group apps.",
    "apps": "Apps: repositories, pipeline and application, created by one request.",
    "builds": "Builds: runs of an app's pipeline.",
    "deploys": "Deployments of an app to its cluster, and rollbacks.",
    "lifecycle": "Comparison, repair and removal of an app.",
    "jobs": "Accepted jobs: their state, steps, events and results.",
    "interventions": "Retry, skip, cancel and build logs.",
    "upstreams": f"State of {_UPSTREAMS}: outages, refusals, pauses and checks.",
    "status": "Status of the installation, for administrators.",
    "operations": "Jobs that are stuck.",
    "users": "Users: list and off-board.",
    "signups": "Sign-ups that wait for the approval of an administrator.",
    "audit": "Who did what, when and from where.",
    "health": "Health checks for operators.",
    "metrics": "Metrics for Prometheus.",
    "document": "The OpenAPI document.",
    "confirm_page": "The page behind the link in a mail.",
    "docs": "The API reference for browsers.",
    "console": "The web console.",
}
EVENTS = "text/event-stream"
EVENT: Mapping[str, Schema] = {
    "id": {"type": "string", "description": "The number of the event."},
    "event": {"type": "string", "const": "change"},
}
END: Schema = {
    "type": "object",
    "description": "The last event: the job is over.",
    "properties": {
        "event": {"type": "string", "const": "end"},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {
                "type": "object",
                "properties": {"state": {"type": "string", "enum": ["succeeded", "failed", "cancelled"]}},
                "required": ["state"],
            },
        },
    },
    "required": ["event", "data"],
}
SUCCESSES = {
    200: "Success.",
    201: "Created.",
    202: "Accepted. Follow the job at `Location`.",
    204: "Success, without content.",
    304: "Not modified.",
}

_ID: Schema = {"type": "string", "pattern": f"^{validation.ID.pattern}$"}
_NAME: Schema = {"type": "string", **fields.NAME}
PATH: Mapping[str, Schema] = {
    "app_id": _ID,
    "project_id": _ID,
    "job_id": _ID,
    "signup_id": _ID,
    "team_id": {"type": "string", "pattern": f"^{validation.TEAM.pattern}$"},
    "login": _NAME,
    "token_id": _ID,
    "session_id": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
    "upstream": {"type": "string", "enum": list(EXTERNAL)},
    "step": {"type": "string", "pattern": "^[a-z_]{3,40}$"},
    "version": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
    "file": {"type": "string", "pattern": "^[a-z-]{1,40}\\.[a-z]{2,4}$"},
}


def _header(name: str, description: str, schema: Schema) -> Schema:
    return {"name": name, "in": "header", "description": description, "schema": {"type": "string", **schema}}


KEY = _header(
    idempotency.HEADER,
    "A key that you choose: new for each request, the same when you repeat the request.",
    {"pattern": f"^(?:{idempotency.KEY.pattern})$"},
)
IF_NONE_MATCH = _header("If-None-Match", "The `ETag` of the response that you have.", {})
LAST_EVENT = _header("Last-Event-ID", "The ID of the last event that you received.", {"pattern": "^[0-9]{1,9}$"})


def _response_header(description: str, kind: str = "string") -> Schema:
    return {"description": description, "schema": {"type": kind}}


REQUEST_ID = {"X-Request-Id": _response_header("Identifies the request in the log. A valid ID that you send is used.")}
RETRY_AFTER = {"Retry-After": _response_header("Seconds to wait before the next request.", "integer")}
LOCATION = {"Location": _response_header("The URL of the job.")}
ETAG = {"ETag": _response_header("Identifies the current state.")}
REPLAYED = {
    idempotency.REPLAYED_HEADER: _response_header(
        "`true` if this is the stored response of an earlier request with the same key."
    )
}
NEXT_PART = {"Link": _response_header("The URL of the next part, with rel=next; absent on the last one.")}
CSV = "text/csv"
CHALLENGE = {"WWW-Authenticate": _response_header("`Bearer`")}

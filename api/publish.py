"""Write the OpenAPI document and the table of problems to `docs/`: `python -m api.publish`, or `make docs`."""

from __future__ import annotations

import json
from pathlib import Path

from flask import Flask

from api import add_calls, openapi
from api.openapi_texts import Schema
from api.problems import CODES
from api.routes import declared
from common import catalog
from common.settings import Settings

COOKIE = "__Host-session"
PROBLEMS = """\
# Problems

Every error is a problem document (RFC 9457, `application/problem+json`): `code` (stable, see below), `type`
(`urn:slipway:problem:` and the code), `title`, `status`, `remedy`, `instance` (the path), `request_id` (finds the
request in the log), and where there is one `detail`, `job_id`, and `errors`: a `{field, code, message}` for each field
at fault. 429 and 503 say in `Retry-After` when to come again.

| status | code | means | what to do |
| --- | --- | --- | --- |
"""


def document(cookie: str = COOKIE) -> Schema:
    """Return the document, with the teams and types of the bundled catalog."""
    app = Flask("slipway", static_folder=None)
    add_calls(app)
    return openapi.document(declared(app), catalog.load(Settings.model_construct()), cookie=cookie)


def files() -> dict[Path, str]:
    """Return what is to be written."""
    rows = sorted(CODES.items(), key=lambda row: row[1].status)
    table = "".join(f"| {means.status} | `{code}` | {means.title} | {means.remedy} |\n" for code, means in rows)
    return {
        Path("docs/openapi.json"): json.dumps(document(), indent=1) + "\n",
        Path("docs/problems.md"): PROBLEMS + table,
    }


if __name__ == "__main__":
    for path, text in files().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")

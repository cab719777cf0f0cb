"""What does a client get when it cannot get what it asked for?  Problem details (RFC 9457), always.

`code` is stable and in the table below; `errors` names the fields at fault. Nothing of ours leaks: no exception
text, no SQL, no upstream body.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response, g, json, request
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as ResponseBase

from common.db import CommitUnknownError

log = logging.getLogger(__name__)

CODES: dict[str, tuple[int, str]] = {
    "bad_request": (400, "The request cannot be understood"),
    "malformed_json": (400, "The body is not JSON"),
    "not_logged_in": (401, "Log in first"),
    "invalid_credentials": (401, "Invalid credentials"),
    "cross_site": (403, "Refused: the request comes from another site"),
    "not_admin": (403, "Only administrators may do this"),
    "team_not_open": (403, "The team cannot be joined at sign-up"),
    "not_found": (404, "There is no such thing, or it is not yours to see"),
    "method_not_allowed": (405, "The method is not allowed here"),
    "taken": (409, "Already taken"),
    "busy": (409, "Something else is at work here"),
    "is_over": (409, "The job is over"),
    "not_failed": (409, "Nothing has failed"),
    "not_skippable": (409, "The step cannot be skipped"),
    "password_needed": (409, "The password is needed again"),
    "not_provisioned": (409, "The app is not complete"),
    "nothing_to_roll_back_to": (409, "There is no earlier good deployment"),
    "too_large": (413, "The body is too large"),
    "unsupported_media_type": (415, "The body must be application/json"),
    "invalid_fields": (422, "Some fields are wrong"),
    "internal": (500, "Something broke inside Slipway"),
    "unavailable": (503, "Slipway cannot serve this now"),
}
BY_STATUS = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
    503: "unavailable",
}


@dataclass(frozen=True, kw_only=True)
class FieldError:
    """One field at fault: `field` as the client wrote it, `code` stable, `message` with the remedy."""

    field: str
    code: str
    message: str


class Problem(Exception):
    """Ends the request with a problem document of this code."""

    def __init__(
        self, code: str, detail: str = "", *, errors: list[FieldError] | None = None, job_id: str | None = None
    ) -> None:
        super().__init__(code)
        self.job_id = job_id
        self.code = code
        self.detail = detail
        self.errors = errors or []
        self.headers: dict[str, str] = {"WWW-Authenticate": "Bearer"} if CODES[code][0] == 401 else {}


def install(app: Flask) -> None:
    """Answer every error of the app as a problem."""
    app.register_error_handler(Problem, _for_problem)
    app.register_error_handler(HTTPException, _for_http_exception)
    app.register_error_handler(DBAPIError, _for_database)
    app.register_error_handler(CommitUnknownError, _for_unknown_commit)
    app.register_error_handler(PoolTimeoutError, _for_database)
    app.register_error_handler(Exception, _for_crash)


def _for_problem(problem: Problem) -> Response:
    return _respond(problem, CODES[problem.code][0], problem.headers)


def _for_http_exception(error: HTTPException) -> ResponseBase:
    status = error.code or 500
    if status < 400:
        return error.get_response()
    code = BY_STATUS.get(status, "bad_request" if status < 500 else "internal")
    kept = {name: value for name, value in error.get_headers() if name in ("Allow", "Retry-After")}
    detail = "Send less than 64 KiB." if status == 413 else ""
    return _respond(Problem(code, detail), status, kept)


def _for_database(_error: SQLAlchemyError) -> Response:
    log.exception("database_failed", extra={"request_id": g.request_id, "path": request.path})
    problem = Problem("unavailable", "The database did not do its part. Nothing was accepted; try again.")
    return _respond(problem, 503, {"Retry-After": "5"})


def _for_unknown_commit(_error: CommitUnknownError) -> Response:
    log.exception("commit_unknown", extra={"request_id": g.request_id, "path": request.path})
    return _respond(Problem("unavailable", "It may or may not have been accepted: look before you try again."), 503, {})


def _for_crash(_error: Exception) -> Response:
    log.exception("request_crashed", extra={"request_id": g.request_id, "path": request.path})
    return _respond(Problem("internal", "Tell the platform team this request id."), 500, {})


def _respond(problem: Problem, status: int, headers: dict[str, str]) -> Response:
    body: dict[str, Any] = {
        "type": f"urn:slipway:problem:{problem.code}",
        "title": CODES[problem.code][1],
        "status": status,
        "code": problem.code,
        "instance": request.path,
        "request_id": g.get("request_id", ""),
    }
    if problem.detail:
        body["detail"] = problem.detail
    if problem.job_id:
        body["job_id"] = problem.job_id
    if problem.errors:
        body["errors"] = [vars(error) for error in problem.errors]
    return Response(json.dumps(body), status, headers, mimetype="application/problem+json")

"""What does a client get when it cannot get what it asked for?  Problem details (RFC 9457), always.

`code` is stable and in the table below, with what can be done about it; `errors` names the fields at fault. Nothing of
ours leaks: no exception text, no SQL, no upstream body.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from flask import Flask, Response, current_app, g, request
from pydantic import BaseModel, ConfigDict
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as ResponseBase

from common.database.engine import CommitUnknownError

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True)
class ProblemType:
    """What a code stands for: its HTTP status, its title, and what whoever gets it can do."""

    status: int
    title: str
    remedy: str


CODES: dict[str, ProblemType] = {
    "bad_request": ProblemType(400, "The request cannot be understood", "Compare it with /docs."),
    "malformed_json": ProblemType(400, "The body is not JSON", "Send one JSON object, in UTF-8."),
    "not_logged_in": ProblemType(401, "Log in first", "Send the token of POST /api/v1/login as Authorization: Bearer."),
    "invalid_credentials": ProblemType(
        401, "Invalid credentials", "Check id and password. Nobody told which was wrong."
    ),
    "no_metrics_token": ProblemType(
        401, "The token of the metrics is missing or wrong", "Send METRICS_TOKEN, if set, as Authorization: Bearer."
    ),
    "cross_site": ProblemType(403, "Refused: the request comes from another site", "Use Authorization: Bearer."),
    "not_admin": ProblemType(403, "Only administrators may do this", "Ask an administrator."),
    "team_not_open": ProblemType(
        403, "The team is not open to all", "Ask an administrator for an invitation, or join another."
    ),
    "not_found": ProblemType(404, "There is no such thing, or it is not yours to see", "Check the id, and your team."),
    "method_not_allowed": ProblemType(405, "The method is not allowed here", "Use one of those in the header Allow."),
    "taken": ProblemType(409, "Already taken", "Choose another value for the field that is named."),
    "busy": ProblemType(409, "Something else is at work here", "Wait for the job that is named, or cancel it."),
    "is_over": ProblemType(409, "The job is over", "Nothing is left to do to it: start a new one."),
    "not_failed": ProblemType(409, "Nothing has failed", "Only what failed can be retried or skipped."),
    "not_skippable": ProblemType(
        409, "The step cannot be skipped", "Retry the job: later steps need what this one makes."
    ),
    "password_needed": ProblemType(409, "The password is needed again", "Retry with the password of the sign-up."),
    "not_provisioned": ProblemType(409, "The app is not complete", "Retry the job that makes it, or DELETE the app."),
    "nothing_to_roll_back_to": ProblemType(409, "There is no earlier good deployment", "Deploy the version you want."),
    "too_large": ProblemType(413, "The body is too large", "Send less than 64 KiB."),
    "unsupported_media_type": ProblemType(415, "The body must be JSON", "Send Content-Type: application/json."),
    "invalid_fields": ProblemType(422, "Some fields are wrong", "Mend the fields that are named, and send it again."),
    "key_reused": ProblemType(
        422, "The Idempotency-Key belongs to another request", "Use a new key for a new request, the old one to repeat."
    ),
    "too_many_requests": ProblemType(429, "Too many attempts", "Wait as long as Retry-After says."),
    "internal": ProblemType(500, "Something broke inside Slipway", "Tell the platform team the request id."),
    "unavailable": ProblemType(503, "Slipway cannot serve this now", "Try again after Retry-After, with the same key."),
}
BY_STATUS = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
    503: "unavailable",
}
DEFAULT_HEADERS = {
    401: {"WWW-Authenticate": "Bearer"},
    503: {"Retry-After": "5"},
}  # by status, unless the problem knows better


class FieldError(BaseModel):
    """One field at fault: `field` as the client wrote it, `code` stable, `message` with the remedy."""

    model_config = ConfigDict(frozen=True)

    field: str
    code: str
    message: str


class ProblemShown(BaseModel):
    """A problem document (RFC 9457). What there is none of is left out."""

    type: str
    title: str
    status: int
    code: str
    detail: str | None = None
    remedy: str
    instance: str
    request_id: str
    job_id: str | None = None
    errors: list[FieldError] | None = None


class Problem(Exception):
    """Ends the request with a problem document of this code."""

    def __init__(
        self,
        code: str,
        detail: str = "",
        *,
        errors: Sequence[FieldError] = (),
        job_id: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail
        self.errors = errors
        self.job_id = job_id
        self.headers: dict[str, str] = dict(DEFAULT_HEADERS.get(CODES[code].status, {}))
        if retry_after_s is not None:
            self.headers["Retry-After"] = str(retry_after_s)


def install(app: Flask) -> None:
    """Answer every error of the app as a problem."""
    app.register_error_handler(Problem, _handle_problem)
    app.register_error_handler(HTTPException, _handle_http_exception)
    app.register_error_handler(DBAPIError, _handle_database_error)
    app.register_error_handler(CommitUnknownError, _handle_unknown_commit)
    app.register_error_handler(PoolTimeoutError, _handle_database_error)
    app.register_error_handler(Exception, _handle_crash)


def _handle_problem(problem: Problem) -> Response:
    call = getattr(current_app.view_functions.get(request.endpoint or ""), "call", None)
    if call is not None and problem.code not in call.problems:
        log.error("undeclared_problem", extra={"call": call.name, "code": problem.code})
    return _respond(problem, CODES[problem.code].status, problem.headers)


def _handle_http_exception(error: HTTPException) -> ResponseBase:
    status = error.code or 500
    if status < 400:
        return error.get_response()
    problem = Problem(BY_STATUS.get(status, "bad_request" if status < 500 else "internal"))
    kept = {name: value for name, value in error.get_headers() if name in ("Allow", "Retry-After")}
    return _respond(problem, status, {**problem.headers, **kept})


def _handle_database_error(_error: SQLAlchemyError) -> Response:
    log.exception("database_failed", extra={"request_id": g.request_id, "path": request.path})
    problem = Problem("unavailable", "The database did not do its part. Nothing was accepted; try again.")
    return _respond(problem, 503, problem.headers)


def _handle_unknown_commit(_error: CommitUnknownError) -> Response:
    log.exception("commit_unknown", extra={"request_id": g.request_id, "path": request.path})
    detail = "It may or may not have been accepted: look before you try again, or send the same Idempotency-Key."
    problem = Problem("unavailable", detail)
    return _respond(problem, 503, problem.headers)


def _handle_crash(_error: Exception) -> Response:
    log.exception("request_crashed", extra={"request_id": g.request_id, "path": request.path})
    return _respond(Problem("internal"), 500, {})


def _respond(problem: Problem, status: int, headers: dict[str, str]) -> Response:
    problem_type = CODES[problem.code]
    shown = ProblemShown(
        type=f"urn:slipway:problem:{problem.code}",
        title=problem_type.title,
        status=status,
        code=problem.code,
        detail=problem.detail or None,
        remedy=problem_type.remedy,
        instance=request.path,
        request_id=g.get("request_id", ""),
        job_id=problem.job_id,
        errors=list(problem.errors) or None,
    )
    return Response(shown.model_dump_json(exclude_none=True), status, headers, mimetype=MEDIA_TYPE)

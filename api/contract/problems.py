"""Problem details (RFC 9457): the table of error codes, and the handlers that turn every error into one.

`code` is stable; `remedy` says what to do next; `errors` names the invalid fields. A problem never contains internal
details: no exception text, no SQL, no response body of an upstream.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from flask import Flask, Response, current_app, g, request
from pydantic import BaseModel, ConfigDict
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as ResponseBase

from common.database.repeats import CommitUnknownError

log = logging.getLogger(__name__)

LONGEST_PATH = 200  # characters of a path that a problem names
MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True)
class ProblemType:
    """The HTTP status, the title and the remedy of a problem code."""

    status: int
    title: str
    remedy: str


CODES: dict[str, ProblemType] = {
    "bad_request": ProblemType(400, "The request is malformed", "Compare the request with the API reference at /docs."),
    "malformed_json": ProblemType(400, "The body is not valid JSON", "Send one JSON object, encoded in UTF-8."),
    "not_logged_in": ProblemType(
        401, "Login required", "Log in, and send the token of POST /api/v1/login as Authorization: Bearer."
    ),
    "invalid_credentials": ProblemType(
        401,
        "Invalid credentials",
        "Check your ID and password. For security we don't say which one was wrong.",
    ),
    "invalid_code": ProblemType(
        401,
        "Invalid code",
        "Check your ID and the code, or ask an administrator for a new code. For security we don't say which is wrong.",
    ),
    "invalid_link": ProblemType(
        401,
        "The link is invalid or has expired",
        "Ask for another mail with POST /api/v1/signups/resend, or sign up again.",
    ),
    "no_metrics_token": ProblemType(
        401,
        "The metrics token is missing or wrong",
        "Set METRICS_TOKEN if it is empty, and send its value as Authorization: Bearer.",
    ),
    "cross_site": ProblemType(
        403, "The request comes from another site", "Send the token as Authorization: Bearer, not as a cookie."
    ),
    "account_closed": ProblemType(
        403, "The account was closed", "If it was closed by mistake, ask an administrator to let you sign up again."
    ),
    "signup_unfinished": ProblemType(
        403,
        "The sign-up has not finished",
        "Read the job in `job_id`. Log in once it has succeeded; if it has failed, its steps say what to do.",
    ),
    "not_admin": ProblemType(403, "Only administrators may do this", "Ask an administrator to do it."),
    "scope": ProblemType(
        403,
        "The API token may not do this",
        "Use a token with the scope that `detail` names, or log in.",
    ),
    "team_not_open": ProblemType(
        403, "The team is not open to everyone", "Ask an administrator for an invitation, or choose an open team."
    ),
    "not_found": ProblemType(
        404, "Not found, or not visible to you", "Check the ID, and whether the resource belongs to your team."
    ),
    "no_such_path": ProblemType(
        404, "There is nothing at this path", "Compare the path with the API reference, which `detail` names."
    ),
    "method_not_allowed": ProblemType(
        405, "The method is not allowed here", "Use one of the methods in the Allow header."
    ),
    "taken": ProblemType(
        409,
        "Already taken",
        "Choose another value for the field listed in `errors`. If your own failed sign-up has it, sign up with the "
        "same password as then. If your account was closed, ask an administrator to let you sign up again.",
    ),
    "too_many_tokens": ProblemType(
        409, "You have as many API tokens as a person may have", "Revoke a token that is not used any more."
    ),
    "busy": ProblemType(
        409,
        "Another job is already running for this app or user",
        "Wait for the job in `job_id` to finish, or cancel it.",
    ),
    "not_waiting": ProblemType(
        409, "The sign-up does not wait for an answer", "List those that wait: GET /api/v1/signups."
    ),
    "is_over": ProblemType(409, "The job is over", "A job that is over cannot be changed. Start a new job."),
    "not_failed": ProblemType(409, "Nothing has failed", "Only a failed job or step can be retried or skipped."),
    "nothing_to_poll": ProblemType(
        409, "Nothing waits for a time", "Read `waiting_on` of the job: what is running or held back cannot be polled."
    ),
    "not_skippable": ProblemType(
        409, "The step cannot be skipped", "Later steps need the output of this step. Retry the job instead."
    ),
    "password_needed": ProblemType(
        409,
        "The password is needed again",
        "Send the retry with the password of the sign-up, or the new one of a change.",
    ),
    "not_provisioned": ProblemType(
        409, "The app is not fully provisioned", "Retry the job that provisions it, or remove the app with DELETE."
    ),
    "not_built": ProblemType(
        409,
        "It is not known which image to deploy",
        "Build the app first, or send image_tag: with force, it may be of any origin.",
    ),
    "nothing_to_roll_back_to": ProblemType(
        409, "There is no earlier successful deployment", "Deploy the version that you want."
    ),
    "too_large": ProblemType(413, "The body is too large", "Send less than 64 KiB."),
    "unsupported_media_type": ProblemType(
        415, "The body must be JSON", "Send the header Content-Type: application/json."
    ),
    "invalid_fields": ProblemType(
        422, "Some fields are invalid", "Correct the fields listed in `errors` and send the request again."
    ),
    "key_reused": ProblemType(
        422,
        "The Idempotency-Key belongs to another request",
        "Use a new key for a new request. Use the old key only to repeat exactly the same request.",
    ),
    "too_many_requests": ProblemType(
        429, "Too many attempts", "Wait for the number of seconds in Retry-After, then try again."
    ),
    "internal": ProblemType(
        500, "Internal error", "Report the request ID to the platform team. The log has the details."
    ),
    "unavailable": ProblemType(
        503,
        "Slipway is temporarily unavailable",
        "Wait for the number of seconds in Retry-After, then try again with the same Idempotency-Key.",
    ),
}
BY_STATUS = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
    503: "unavailable",
}
DEFAULT_HEADERS = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "5"}}  # by status; a problem may override


class FieldError(BaseModel):
    """An invalid field: `field` is the name in the request, `code` is stable, `message` says how to correct it."""

    model_config = ConfigDict(frozen=True)

    field: str
    code: str
    message: str


class ProblemShown(BaseModel):
    """A problem document (RFC 9457). Members without a value are left out."""

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
    """Ends the request with the problem document of this code."""

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
    """Make the app answer every error with a problem document."""
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
    if status == 404 and request.url_rule is None:
        problem = Problem("no_such_path", _where_to_look())
    kept = {name: value for name, value in error.get_headers() if name in ("Allow", "Retry-After")}
    return _respond(problem, status, {**problem.headers, **kept})


def _where_to_look() -> str:
    """Name the path that was asked for, quoted, as anybody may have written the link to it."""
    root, path = request.script_root, quote(f"{request.script_root}{request.path}")
    named = path if len(path) <= LONGEST_PATH else f"{path[:LONGEST_PATH]}…"
    return f"There is nothing at {named}. The API is described at {root}/docs, for programs at {root}/openapi.json."


def _handle_database_error(_error: SQLAlchemyError) -> Response:
    log.exception("database_failed", extra={"request_id": g.request_id, "path": request.path})
    problem = Problem("unavailable", "The database is unavailable. Nothing was saved; please try again.")
    return _respond(problem, 503, problem.headers)


def _handle_unknown_commit(_error: CommitUnknownError) -> Response:
    log.exception("commit_unknown", extra={"request_id": g.request_id, "path": request.path})
    detail = (
        "The connection to the database broke during the commit, so the request may have been saved. "
        "Check before you try again, or repeat it with the same Idempotency-Key."
    )
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
        instance=f"{request.script_root}{request.path}",
        request_id=g.get("request_id", ""),
        job_id=problem.job_id,
        errors=list(problem.errors) or None,
    )
    return Response(shown.model_dump_json(exclude_none=True), status, headers, mimetype=MEDIA_TYPE)

"""How is a call declared?  Once: who may make it, what goes in, what comes out. The rest follows from that.

A view gets its validated input as arguments and returns an `Answer`; everything else raises a `Problem`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import wraps
from typing import Any

from flask import Blueprint, Flask, Response, request
from pydantic import BaseModel, ConfigDict, ValidationError
from werkzeug.exceptions import MethodNotAllowed, RequestEntityTooLarge

from api import auth
from api.problems import FieldError, Problem

BASE = "/api/v1"
BODY_BYTES = 64 * 1024
ERRORS_SHOWN = 100  # a body of nothing but unknown fields would have an answer many times its size
FIELD_CODES = {  # pydantic's words are not ours to promise; whatever is not listed is `invalid`
    "missing": "missing",
    "extra_forbidden": "unknown_field",
    "string_type": "wrong_type",
    "model_type": "wrong_type",
    "string_too_short": "too_short",
    "string_too_long": "too_long",
}
MESSAGES = {"missing": "This field is required.", "unknown_field": "There is no such field."}


class Policy(StrEnum):
    """Who may make a call."""

    PUBLIC = "anyone"
    MEMBER = "anyone who is logged in, for things of their own team"
    BEARER = "as member, but by the Authorization header alone: a browser cannot be made to send it"
    ADMIN = "administrators"
    VISITOR = "anyone; what a visitor without a login sees is decided in the view"


class Body(BaseModel):
    """What a client sends; a field that we do not know is refused by its name."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Query(Body):
    """The parameters behind the question mark."""


class Result(BaseModel):
    """What a client gets: these fields and no others."""

    model_config = ConfigDict(frozen=True)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One success: a `Result` or nothing, its status, further headers."""

    body: Result | None = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Call:
    """A declared call, kept on its view."""

    method: str
    path: str
    policy: Policy
    takes: type[Body] | None
    query: type[Query] | None
    answers: Mapping[int, type[Result] | None]


View = Callable[..., Answer]


def route(
    blueprint: Blueprint,
    method: str,
    path: str,
    *,
    policy: Policy,
    answers: Mapping[int, type[Result] | None],
    takes: type[Body] | None = None,
    query: type[Query] | None = None,
) -> Callable[[View], View]:
    """Declare a call; several may be put on one view."""
    call = Call(method=method, path=path, policy=policy, takes=takes, query=query, answers=answers)

    def declare(view: View) -> View:
        @wraps(view)
        def served(**path_values: str) -> Response:
            _admit(call)
            arguments: dict[str, Any] = dict(path_values)
            if takes is not None:
                arguments["body"] = _read(takes)
            if query is not None:
                arguments["query"] = _validated(query, request.args.to_dict())
            return _render(view(**arguments))

        served.__dict__["call"] = call
        blueprint.add_url_rule(path, f"{view.__name__}:{path}".replace(".", "_"), served, methods=[method])
        return view

    return declare


def _admit(call: Call) -> None:
    """Raises Problem, or MethodNotAllowed for a HEAD of what starts work."""
    policy = call.policy
    if request.method == "HEAD" and 202 in call.answers:
        raise MethodNotAllowed(valid_methods=[call.method])
    if policy is Policy.BEARER:
        auth.require_bearer()
    if policy in (Policy.MEMBER, Policy.BEARER, Policy.ADMIN):
        user = auth.require_user()
        if policy is Policy.ADMIN and not user.is_admin:
            raise Problem("not_admin", "Ask an administrator.")


def check(app: Flask) -> None:
    """Refuse to start with a call that nobody declared. Raises RuntimeError naming it."""
    undeclared = [
        rule.rule for rule in app.url_map.iter_rules() if not hasattr(app.view_functions[rule.endpoint], "call")
    ]
    if undeclared:
        raise RuntimeError(f"calls without a declared policy: {undeclared}")


def _read(shape: type[Body]) -> Body:
    if request.mimetype != "application/json":
        raise Problem("unsupported_media_type", "Send Content-Type: application/json.")
    content = request.get_data()
    if len(content) >= BODY_BYTES:  # werkzeug cuts a chunked body off at the limit without a word
        raise RequestEntityTooLarge
    try:
        return shape.model_validate_json(content)
    except ValidationError as error:
        raise _as_problem(error) from None


def _validated(shape: type[Query], values: Mapping[str, str]) -> Query:
    try:
        return shape.model_validate(values)
    except ValidationError as error:
        raise _as_problem(error) from None


def _as_problem(error: ValidationError) -> Problem:
    details = error.errors(include_url=False, include_input=False)
    if details[0]["type"] == "json_invalid":
        return Problem("malformed_json", f"The body does not parse as JSON: {details[0]['ctx']['error']}.")
    return Problem("invalid_fields", errors=[_field_error(detail) for detail in details[:ERRORS_SHOWN]])


def _field_error(detail: Any) -> FieldError:
    name = ".".join(str(part) for part in detail["loc"]) or "body"
    code = FIELD_CODES.get(detail["type"], "invalid")
    message = MESSAGES.get(code, detail["msg"].removeprefix("Value error, "))
    return FieldError(field=name, code=code, message=message)


def _render(answer: Answer) -> Response:
    body = answer.body.model_dump_json() if answer.body is not None else ""
    response = Response(body, answer.status, dict(answer.headers))
    if answer.body is not None:
        response.mimetype = "application/json"
    else:
        del response.headers["Content-Type"]
    return response

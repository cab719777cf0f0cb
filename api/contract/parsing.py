"""Parse request bodies and query parameters as the endpoint declares them; all errors are reported together."""

from __future__ import annotations

from typing import Any

from flask import request
from pydantic import ValidationError
from werkzeug.exceptions import RequestEntityTooLarge

from api.contract.endpoint import JSON, Endpoint, Query, RequestBody
from api.contract.problems import FieldError, Problem

BODY_BYTES = 64 * 1024
ERRORS_SHOWN = 100  # a body that consists of unknown fields would get a response many times its size
FIELD_CODES = {  # from pydantic's codes, which may change, to stable ones; a code that is not listed is `invalid`
    "missing": "missing",
    "extra_forbidden": "unknown_field",
    "string_type": "wrong_type",
    "model_type": "wrong_type",
    "string_too_short": "too_short",
    "string_too_long": "too_long",
}
MESSAGES = {"missing": "This field is required.", "unknown_field": "This field does not exist."}


def arguments(call: Endpoint) -> dict[str, Any]:
    """Return `body` and `query` where the endpoint declares them. Raises Problem."""
    parsed: dict[str, Any] = {}
    if call.takes is not None:
        parsed["body"] = _body(call.takes)
    if call.query is not None:
        parsed["query"] = _query(call.query)
    return parsed


def _body(model: type[RequestBody]) -> RequestBody:
    if request.mimetype != JSON:
        raise Problem("unsupported_media_type")
    content = request.get_data()
    if len(content) >= BODY_BYTES:  # werkzeug truncates a chunked body at the limit and reports nothing
        raise RequestEntityTooLarge
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        raise _as_problem(error) from None


def _query(model: type[Query]) -> Query:
    repeated = [name for name, values in request.args.lists() if len(values) > 1]
    if repeated:
        errors = [
            FieldError(field=name, code="repeated", message="Send this parameter only once.")
            for name in repeated[:ERRORS_SHOWN]
        ]
        raise Problem("invalid_fields", errors=errors)
    try:
        return model.model_validate(request.args.to_dict())
    except ValidationError as error:
        raise _as_problem(error) from None


def _as_problem(error: ValidationError) -> Problem:
    details = error.errors(include_url=False, include_input=False)
    if details[0]["type"] == "json_invalid":
        return Problem("malformed_json", f"The body is not valid JSON: {details[0]['ctx']['error']}.")
    return Problem("invalid_fields", errors=[_field_error(detail) for detail in details[:ERRORS_SHOWN]])


def _field_error(detail: Any) -> FieldError:
    name = ".".join(str(part) for part in detail["loc"]) or "body"
    code = FIELD_CODES.get(detail["type"], "invalid")
    message = MESSAGES.get(code, detail["msg"].removeprefix("Value error, "))
    return FieldError(field=name, code=code, message=message)

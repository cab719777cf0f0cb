"""Error bodies of GitLab, and the parameters of a request.

`{"message": "404 Project Not Found"}`   plain             `{"message": {"name": ["…"]}}`   validation of a model
`{"message": ["Full sentence"]}`         forks, branches   `{"error": "name is missing"}`   validation of parameters
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from werkzeug.wrappers import Request, Response


class ApiError(Exception):
    """An error answer with its status and body."""

    def __init__(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{status} {body}")
        self.body = body
        self.response = as_json(body, status)
        self.response.headers.update(headers or {})


def as_json(body: object, status: int = 200) -> Response:
    return Response(json.dumps(body), status, content_type="application/json")


def empty(status: int) -> Response:
    """Answer without a body, as 204 and 304 do."""
    return Response(b"", status)


def refuse(status: int, message: object) -> NoReturn:
    raise ApiError(status, {"message": message})


def bad_parameters(*problems: str) -> NoReturn:
    raise ApiError(400, {"error": ", ".join(problems)})


class Params:
    """The parameters of one call, from the query and a JSON or form body; unknown ones are ignored."""

    def __init__(self, request: Request) -> None:
        self._values: dict[str, Any] = dict(request.args.items()) | dict(request.form.items())
        if request.mimetype == "application/json" and request.get_data():
            self._values |= _json_object(request)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def get(self, name: str) -> Any:
        return self._values.get(name)

    def given(self, *names: str) -> list[str]:
        return [name for name in names if self._values.get(name) not in (None, "")]

    def require(self, *names: str) -> None:
        missing = [f"{name} is missing" for name in names if name not in self._values]
        if missing:
            bad_parameters(*missing)

    def text(self, name: str) -> str | None:
        value = self._values.get(name)
        if isinstance(value, dict | list):
            bad_parameters(f"{name} is invalid")
        return None if value is None else str(value)

    def number(self, name: str) -> int | None:
        value = self._values.get(name)
        if value in (None, ""):
            return None
        try:
            return int(value)
        except (TypeError, ValueError):
            bad_parameters(f"{name} is invalid")

    def flag(self, name: str, default: bool = False) -> bool:
        value = self._values.get(name)
        if value is None:
            return default
        if str(value).lower() not in ("true", "false", "1", "0"):
            bad_parameters(f"{name} is invalid")
        return str(value).lower() in ("true", "1")

    def choice(self, name: str, allowed: tuple[object, ...], default: Any = None) -> Any:
        value = self._values.get(name, default)
        if value is not None and value not in allowed:
            bad_parameters(f"{name} does not have a valid value")
        return value


def _json_object(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(request.get_data())
    except ValueError:
        refuse(400, "400 Bad request - invalid JSON")
    return body if isinstance(body, dict) else {}

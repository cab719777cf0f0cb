"""Control interface of the harbour: calls, state, faults and situations, for other processes.

GET /healthz · GET /calls?since=N&writes=1&upstream=NAME · GET /state · GET, POST /images · GET, POST, DELETE /faults ·
DELETE /faults?drop=1: calls that are held are reset, not handled ·
GET, POST, DELETE /situations: `{"upstream": "argocd", "is_kubernetes_away": true}`; each upstream lists its own ·
PUT /credentials: `{"setting": "ARGO_TOKEN", "value": TEXT}`; from then on the value before is refused
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from typing import Any

from werkzeug.wrappers import Request, Response

from harbour import situations
from harbour.config import CREDENTIALS, USERS
from harbour.faults import KINDS, Call, Fault
from harbour.server import Handler, Service, route
from harbour.world import Harbour


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_pattern(value: object) -> bool:
    try:
        re.compile(str(value))
    except re.error:
        return False
    return isinstance(value, str)


def _is_texts(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in (*value, *value.values()))


FIELDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "kind": (f"one of {', '.join(KINDS)}", lambda value: value in KINDS),
    "method": ("an upper-case HTTP method", lambda value: isinstance(value, str) and value.isupper()),
    "path": ("a regular expression", _is_pattern),
    "times": ("a whole number, zero or more", _is_count),
    "skip": ("a whole number, zero or more", _is_count),
    "delay_s": ("seconds", lambda value: isinstance(value, int | float) and value >= 0),
    "status": ("an HTTP status", lambda value: _is_count(value) and 200 <= value <= 599),
    "body": ("a text", lambda value: isinstance(value, str)),
    "headers": ("an object of texts", _is_texts),
    "user_agent": ("a regular expression", _is_pattern),
}


SECRETS = tuple(setting for setting in CREDENTIALS if setting not in USERS)


class ApiError(Exception):
    """A request that cannot be served; names the wrong field."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.response = _json({"error": {"field": field, "reason": reason}}, 422)


class Control(Service):
    """The control server. It belongs to no upstream, and its own calls are not in the log that it shows."""

    name = "control"

    def __init__(self, harbour: Harbour) -> None:
        super().__init__()
        self.harbour = harbour

    def invoke(self, handler: Handler, request: Request, params: dict[str, str]) -> Response:
        try:
            return handler(request, **params)
        except ApiError as error:
            return error.response

    def no_route(self, request: Request, methods: set[str]) -> Response:
        answer = _json({"error": {"reason": f"no {request.method} {request.path} here"}}, 405 if methods else 404)
        answer.headers["Allow"] = ", ".join(sorted(methods))
        return answer

    @route("GET", "/healthz")
    def healthz(self, _request: Request) -> Response:
        return _json({"status": "ok", "urls": {each.name: each.url for each in self.harbour.services}})

    @route("GET", "/calls")
    def list_calls(self, request: Request) -> Response:
        """Answer the calls after number `since`, without their bodies, which hold passwords."""
        since = request.args.get("since", "0")
        if not since.isdigit():
            raise ApiError("since", "must be a whole number")
        calls = self.harbour.writes() if request.args.get("writes") == "1" else self.harbour.calls()
        wanted = request.args.get("upstream")
        shown = [c for c in calls if c.order > int(since) and wanted in (None, c.upstream)]
        return _json({"calls": [_view(call) for call in shown]})

    @route("GET", "/state")
    def state(self, _request: Request) -> Response:
        return _json(self.harbour.snapshot())

    @route("GET", "/images")
    def list_images(self, _request: Request) -> Response:
        """Answer the images of the registry, each with the commit it was built from."""
        return _json({"images": [{"image": i, "commit": c} for i, c in self.harbour.registry.images().items()]})

    @route("POST", "/images")
    def push_image(self, request: Request) -> Response:
        """Add an image that no build of the harbour pushes: `{"image": NAME:TAG, "commit": ID or null}`."""
        body = _object(request)
        image, commit = body.get("image"), body.get("commit")
        if not isinstance(image, str) or not image:
            raise ApiError("image", "must be a text")
        if not isinstance(commit, str | None):
            raise ApiError("commit", "must be a text")
        self.harbour.registry.push(image, commit=commit)
        return _json({"image": image, "commit": commit}, 201)

    @route("GET", "/faults")
    def list_faults(self, _request: Request) -> Response:
        listed = [
            {"upstream": service.name, **dataclasses.asdict(fault), "held": fault.held}
            for service in self.harbour.services
            for fault in list(service.faults)
        ]
        return _json({"faults": listed})

    @route("POST", "/faults")
    def add_fault(self, request: Request) -> Response:
        body = _object(request)
        service = self._service(body.pop("upstream", None))
        fault = service.inject(_fault(body))
        return _json({"upstream": service.name, **dataclasses.asdict(fault)}, 201)

    @route("DELETE", "/faults")
    def delete_faults(self, request: Request) -> Response:
        wanted, is_dropped = request.args.get("upstream"), request.args.get("drop") == "1"
        for service in self.harbour.services if wanted is None else [self._service(wanted)]:
            service.clear_faults(is_dropped=is_dropped)
        return Response(b"", 204)

    @route("GET", "/situations")
    def list_situations(self, _request: Request) -> Response:
        return _json({"situations": {each.name: situations.current(each) for each in self.harbour.services}})

    @route("POST", "/situations")
    def bring(self, request: Request) -> Response:
        """Bring one upstream into situations, by their names; those that are not named stay."""
        body = _object(request)
        service = self._service(body.pop("upstream", None))
        try:
            situations.bring(service, body)
        except situations.WrongSituationError as error:
            raise ApiError(error.name, error.reason) from error
        return _json({"upstream": service.name, **situations.current(service)})

    @route("DELETE", "/situations")
    def end_situations(self, request: Request) -> Response:
        wanted = request.args.get("upstream")
        for service in self.harbour.services if wanted is None else [self._service(wanted)]:
            situations.end(service)
        return Response(b"", 204)

    @route("PUT", "/credentials")
    def replace_credential(self, request: Request) -> Response:
        """Exchange what an upstream accepts, by the name of the setting; any text nobody knows revokes it."""
        body = _object(request)
        setting, value = body.get("setting"), body.get("value")
        if setting not in SECRETS:
            raise ApiError("setting", f"must be one of {', '.join(SECRETS)}")
        if not isinstance(value, str) or not value:
            raise ApiError("value", "must be a text")
        self.harbour.replace_credential(setting, value)
        return Response(b"", 204)

    def _service(self, name: object) -> Service:
        service = self.harbour.service(str(name))
        if service is None:
            raise ApiError("upstream", f"must be one of {', '.join(each.name for each in self.harbour.services)}")
        return service


def _json(body: object, status: int = 200) -> Response:
    return Response(json.dumps(body), status, content_type="application/json")


def _view(call: Call) -> dict[str, Any]:
    return {key: value for key, value in dataclasses.asdict(call).items() if key != "body"}


def _object(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(request.get_data())
    except ValueError:
        raise ApiError("body", "must be JSON") from None
    if not isinstance(body, dict):
        raise ApiError("body", "must be an object")
    return body


def _fault(body: dict[str, Any]) -> Fault:
    if "kind" not in body:
        raise ApiError("kind", "is missing")
    for field, value in body.items():
        if field not in FIELDS:
            raise ApiError(field, f"is unknown; known are upstream, {', '.join(FIELDS)}")
        expected, is_valid = FIELDS[field]
        nothing = value is None and field in ("method", "times")  # any method; until cleared
        if not nothing and not is_valid(value):
            raise ApiError(field, f"must be {expected}")
    return Fault(**body)

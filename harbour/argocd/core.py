"""Base of the Argo CD stand-in: token, policy, content type, error bodies, parsing of requests, outages."""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from werkzeug.wrappers import Request, Response

from harbour.argocd import git
from harbour.argocd.git import Credentials, GitError
from harbour.config import HarbourConfig
from harbour.server import READS, Handler, Service

UNKNOWN, INVALID, NOT_FOUND, DENIED, UNMET, INTERNAL, UNAVAILABLE, UNAUTHENTICATED = 2, 3, 5, 7, 9, 13, 14, 16
STATUSES = {UNKNOWN: 500, INVALID: 400, NOT_FOUND: 404, DENIED: 403, UNMET: 400, INTERNAL: 500}
STATUSES |= {UNAVAILABLE: 503, UNAUTHENTICATED: 401}
PUBLIC = frozenset({"/healthz", "/api/version", "/api/v1/session", "/api/v1/session/userinfo"})
OUR_ACCOUNT = "provisioner"
KUBERNETES = "https://kubernetes.default.svc"
REPO_SERVERS = {
    "up": "",
    "down": "transport: Error while dialing: dial tcp 127.0.0.1:8081: connect: connection refused",
    "hangs": "transport: authentication handshake failed: context deadline exceeded",
}
"""States of the repo server, which reads git, and how a connection to it fails."""


class ApiError(Exception):
    """Ends the request with a gRPC code and the HTTP status that belongs to it."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        body = {"error": message, "code": code, "message": message}
        self.response = answer(body, STATUSES[code])


class ArgoCDCore(Service):
    """Authentication and clock; the state is in the subclasses. `now` returns seconds since 1970."""

    name = "argocd"
    git_timeout_s = 15.0
    repo_server = "up"
    is_kubernetes_away = False
    """Whether the Kubernetes API on which Argo CD keeps its objects is away."""
    token_problem = ""
    """Why a correct token is refused, as the JWT library says it; "" is no refusal."""

    def __init__(self, config: HarbourConfig, now: Callable[[], float] = time.time) -> None:
        super().__init__()
        self.config = config
        self.now = now
        self.denied: set[tuple[str, str]] = set()  # pairs of resource and action that the policy denies our account

    def credentials_for(self, url: str, project: str) -> Credentials:
        """Return the credentials of this repository for applications of `project`; the subclass knows them."""
        raise NotImplementedError

    def check_readable(self, url: str, credentials: Credentials) -> None:
        """Let the repo server list the refs. Raises GitError."""
        self.require_repo_server()
        git.check_readable(url, credentials, timeout_s=self.git_timeout_s)

    def require_repo_server(self) -> None:
        problem = REPO_SERVERS[self.repo_server]
        if problem:
            raise GitError(f'connection error: desc = "{problem}"', code="Unavailable")

    def require_kubernetes(self, verb: str, path: str, *, doing: str = "") -> None:
        """Refuse, while the Kubernetes API is away, in the words of a call to it that fails."""
        if self.is_kubernetes_away:
            refused = "dial tcp 127.0.0.1:443: connect: connection refused"
            raise ApiError(UNKNOWN, f'{doing}{verb} "{KUBERNETES}{path}": {refused}')

    def dispatch(self, request: Request, path: str) -> Response:
        if path.startswith("/api/") and request.method not in READS and not _is_json(request):
            return _plain("Invalid content type", 415)
        return super().dispatch(request, path)

    def invoke(self, handler: Handler, request: Request, params: dict[str, str]) -> Response:
        try:
            if request.path not in PUBLIC:
                self.require_token(request)
                self.require_right(request)
            return super().invoke(handler, request, params)
        except ApiError as error:
            return error.response

    def no_route(self, request: Request, methods: set[str]) -> Response:  # noqa: ARG002 - a hook: overrides use it
        return _plain("Method Not Allowed", 405) if methods else _plain("Not Found", 404)

    def has_token(self, request: Request) -> bool:
        return not self.token_problem and self.account_of(request) != ""

    def account_of(self, request: Request) -> str:
        """Return the account of the request's token, "" for a token that is not valid."""
        is_ours = hmac.compare_digest(token_of(request).encode(), self.config.argocd_token.encode())
        return OUR_ACCOUNT if is_ours else ""

    def is_allowed(self, account: str, resource: str, action: str, thing: str) -> bool:  # noqa: ARG002 - a hook
        """Return what the policy says; here it names no single objects."""
        return (resource, action) not in self.denied

    def require_token(self, request: Request) -> None:
        if self.has_token(request):
            return
        if token_of(request).count(".") != 2:  # what is no token at all counts as none
            raise ApiError(UNAUTHENTICATED, "no session information")
        problem = self.token_problem or "token signature is invalid: signature is invalid"
        raise ApiError(UNAUTHENTICATED, f"invalid session: {problem}")

    def require_right(self, request: Request) -> None:
        """Refuse what the policy denies. A list is never refused: it omits what the account may not see.

        About one application the refusal has no details, as of one that does not exist.
        """
        resource, action = _right_for(request)
        account, thing = self.account_of(request), self.thing_of(request)
        if not action or self.is_allowed(account, resource, action, thing):
            return
        if resource == "applications" and action != "create":
            raise ApiError(DENIED, "permission denied")
        raise ApiError(DENIED, f"permission denied: {resource}, {action}, {thing}, sub: {account}")

    def thing_of(self, request: Request) -> str:
        """Return the object of a call as the policy names it."""
        return request.path


def answer(shown: Any, status: int = 200) -> Response:
    return Response(json.dumps(shown), status, content_type="application/json")


def body_of(request: Request) -> Any:
    """Return the decoded body, None when there is none."""
    raw = request.get_data()
    try:
        return json.loads(raw) if raw else None
    except ValueError as error:
        raise ApiError(INVALID, "invalid character in the request body") from error


def listed(items: list[Any], version: int | None = None) -> Response:
    """Answer a list as Go writes it: one without items is null."""
    metadata = {} if version is None else {"resourceVersion": str(version)}
    return answer({"metadata": metadata, "items": items or None})


def object_in(value: Any, field: str) -> dict[str, Any]:
    """Return `value` as an object, empty when absent."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ApiError(INVALID, f"json: cannot unmarshal into Go struct field {field}")
    return value


def flag(request: Request, name: str, *, default: bool = False) -> bool:
    """Return a query flag, spelt as Go reads booleans."""
    value = request.args.get(name)
    if value is None:
        return default
    if value in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if value in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise ApiError(INVALID, f"type mismatch, parameter: {name}, error: invalid syntax")


def timestamp(at: float) -> str:
    """Return a time as Kubernetes writes it: whole seconds."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _is_json(request: Request) -> bool:
    """Compare the whole header, as Argo CD does: a charset makes it another type."""
    return request.headers.get("Content-Type", "").lower() == "application/json"


def token_of(request: Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token if scheme == "Bearer" else ""


def _right_for(request: Request) -> tuple[str, str]:
    """Return the resource and the action of a call; a list has no action. Templates are covered by repositories."""
    resource, *rest = request.path.removeprefix("/api/v1/").split("/")
    resource = "repositories" if resource == "repocreds" else resource
    if request.method in READS:
        return resource, "get" if rest else ""
    if rest[-1:] == ["sync"] or rest[-1:] == ["operation"] or rest[-1:] == ["rollback"]:
        return resource, "sync"
    return resource, {"POST": "create", "DELETE": "delete"}.get(request.method, "update")


def _plain(text: str, status: int) -> Response:
    return Response(f"{text}\n", status, content_type="text/plain; charset=utf-8")

"""Base of the Elasticsearch stand-in: state, errors, credentials, privileges."""

from __future__ import annotations

import base64
import json
from typing import Any, NoReturn

from werkzeug.wrappers import Request, Response

from harbour import passwords
from harbour.config import HarbourConfig
from harbour.server import READS, Handler, Service

CHALLENGE = {"WWW-Authenticate": 'Basic realm="security", charset="UTF-8"'}
NO_PRIVILEGE_NEEDED = ("/", "/_security/_authenticate", "/_security/user/_has_privileges")


def as_json(body: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    answer = Response(json.dumps(body), status, headers, content_type="application/json")
    answer.headers["X-Elastic-Product"] = "Elasticsearch"
    return answer


class ApiError(Exception):
    """An error answer in Elasticsearch's shape."""

    def __init__(self, status: int, kind: str, reason: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(reason)
        cause = {"type": kind, "reason": reason}
        self.response = as_json({"error": {"root_cause": [cause], **cause}, "status": status}, status, headers)


def invalid_request(*problems: str) -> NoReturn:
    """Refuse a request that is wrong by itself."""
    raise ApiError(400, "action_request_validation_exception", _validation_failed(problems))


def invalid_state(*problems: str) -> NoReturn:
    """Refuse a request that does not fit what is stored."""
    raise ApiError(400, "validation_exception", _validation_failed(problems))


def not_allowed(reason: str) -> NoReturn:
    raise ApiError(400, "illegal_argument_exception", reason)


def _validation_failed(problems: tuple[str, ...]) -> str:
    listed = "".join(f" {number}: {problem};" for number, problem in enumerate(problems, 1))
    return f"Validation Failed:{listed}"


class ElasticsearchBase(Service):
    """State, and the checks of every call.

    `is_security_index_away`: the index that holds users is not there yet, after a restart or while its node is lost:
    nobody's password is right, and API keys are a 503. `is_password_changed`: somebody changed that of our user.
    `our_privileges` are the cluster privileges of our user.
    """

    is_security_index_away = False
    is_password_changed = False

    def __init__(self, config: HarbourConfig) -> None:
        super().__init__()
        self.config = config
        self.our_privileges = ["all"]
        self.users: dict[str, dict[str, Any]] = {}
        self.roles: dict[str, dict[str, Any]] = {}
        self.role_mappings: dict[str, dict[str, Any]] = {}
        self.api_keys: dict[str, dict[str, Any]] = {}
        self.key_secrets: dict[str, tuple[str, list[str]]] = {}  # the secret of each, and its owner's roles when made

    def invoke(self, handler: Handler, request: Request, params: dict[str, str]) -> Response:
        """Check credentials and privileges, then run the handler under the lock; an ApiError becomes its answer."""
        try:
            with self.lock:
                username = self.authenticated(request)
                if request.path not in NO_PRIVILEGE_NEEDED:
                    self._authorize(username, request)
                return handler(request, **params)
        except ApiError as error:
            return error.response

    def authenticated(self, request: Request) -> str:
        """Return the name of the enabled user whose password was sent."""
        login = request.authorization
        if self.is_security_index_away and login is not None and login.type == "apikey":
            raise ApiError(503, "unavailable_shards_exception", "at least one shard of the index [.security] is away")
        if login is not None and login.type == "apikey" and (owner := self._owner_of(login.token or "")):
            return owner
        if login is None or login.type != "basic":
            reason = f"missing authentication credentials for REST request [{request.path}]"
            raise ApiError(401, "security_exception", reason, CHALLENGE)
        name = login.username or ""
        is_ours = name == self.config.elasticsearch_user
        is_refused = self.is_security_index_away or (is_ours and self.is_password_changed)
        user = None if is_refused else self.users.get(name)
        if user and user["enabled"] and passwords.matches(login.password or "", user["digest"], owner=name):
            return name
        reason = f"unable to authenticate user [{name}] for REST request [{request.path}]"
        raise ApiError(401, "security_exception", reason, CHALLENGE)

    def _owner_of(self, encoded: str) -> str | None:
        """Return whose API key it is. A key works until it is invalidated, also when its owner was removed."""
        try:
            key_id, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
        except ValueError:
            return None
        key = self.api_keys.get(key_id)
        if key is None or key["invalidated"] or self.key_secrets[key_id][0] != secret:
            return None
        return str(key["username"])

    def roles_of(self, username: str) -> list[str]:
        """Return a user's roles; of one who was removed and whose keys still work, those of the keys."""
        if username in self.users:
            return list(self.users[username]["roles"])
        keys = [
            key_id for key_id, key in self.api_keys.items() if key["username"] == username and not key["invalidated"]
        ]
        return sorted({role for key_id in keys for role in self.key_secrets[key_id][1]})

    def _authorize(self, username: str, request: Request) -> None:
        needed = ("read_security", "manage_security") if request.method in READS else ("manage_security",)
        if not any(self.may(username, privilege) for privilege in needed):
            roles = ",".join(self.roles_of(username))
            granted = f"this action is granted by the cluster privileges [{','.join((*needed, 'all'))}]"
            reason = f"action is unauthorized for user [{username}] with effective roles [{roles}], {granted}"
            raise ApiError(403, "security_exception", reason)

    def may(self, username: str, cluster_privilege: str) -> bool:
        """Return whether a user holds a cluster privilege; roles that do not exist grant nothing."""
        if username == self.config.elasticsearch_user and "all" not in self.our_privileges:
            return cluster_privilege in self.our_privileges
        held = {"all"} if "superuser" in self.roles_of(username) else set()
        for role in self.roles_of(username):
            held |= set(self.roles.get(role, {}).get("cluster", ()))
        return bool(held & {"all", cluster_privilege})

    def no_route(self, request: Request, methods: set[str]) -> Response:
        if methods:
            allowed = ", ".join(sorted(methods))
            reason = (
                f"Incorrect HTTP method for uri [{request.path}] and method [{request.method}], allowed: [{allowed}]"
            )
            return as_json({"error": reason, "status": 405}, 405, {"Allow": allowed})
        reason = f"no handler found for uri [{request.path}] and method [{request.method}]"
        return as_json({"error": reason}, 400)


def json_object(request: Request, known: frozenset[str]) -> dict[str, Any]:
    """Return the body; refuse one that is not an object or has an unknown field."""
    try:
        body = json.loads(request.get_data() or b"{}")
    except ValueError:
        raise ApiError(400, "x_content_parse_exception", "the body is no JSON") from None
    if not isinstance(body, dict):
        raise ApiError(400, "x_content_parse_exception", "the body is no object")
    for field in body:
        if field not in known:
            raise ApiError(400, "parse_exception", f"unexpected field [{field}]")
    return body

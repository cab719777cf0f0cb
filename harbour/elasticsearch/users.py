"""Native users of Elasticsearch, with its upserts."""

from __future__ import annotations

import re
from typing import Any

from werkzeug.wrappers import Request, Response

from harbour.elasticsearch.state import (
    ElasticsearchBase,
    as_json,
    invalid_request,
    invalid_state,
    json_object,
    not_allowed,
)
from harbour.passwords import digest
from harbour.server import route

USER = "/_security/user/:name"
FIELDS = frozenset(["username", "password", "password_hash", "roles", "full_name", "email", "metadata", "enabled"])
NAME = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
LONGEST_NAME, SHORTEST_PASSWORD = 507, 6


class Users(ElasticsearchBase):
    """`/_security/user`: PUT and POST do the same, create or overwrite."""

    def new_user(self, name: str, roles: list[str], metadata: dict[str, Any]) -> dict[str, Any]:
        """Return a user without a password, who cannot log in."""
        return {
            "username": name,
            "roles": roles,
            "full_name": None,
            "email": None,
            "metadata": metadata,
            "enabled": True,
            "digest": None,
        }

    @route("GET", "/_security/_authenticate")
    def authenticate(self, request: Request) -> Response:
        user = self.users[self.authenticated(request)]
        realm = "reserved" if _is_reserved(user) else "native"
        source = {"name": realm, "type": realm}
        view = _view(user) | {"authentication_realm": source, "lookup_realm": source}
        return as_json(view | {"authentication_type": "realm"})

    @route("GET", "/_security/user")
    def list_users(self, _request: Request) -> Response:
        return as_json({name: _view(user) for name, user in self.users.items()})

    @route("GET", USER)
    def get_user(self, _request: Request, name: str) -> Response:
        """Answer the existing users of a comma list; 404 and an empty object when none exists."""
        found = {each: _view(self.users[each]) for each in name.split(",") if each in self.users}
        return as_json(found, 200 if found else 404)

    @route("PUT", USER)
    def put_user(self, request: Request, name: str) -> Response:
        body = json_object(request, FIELDS)
        _check_request(name, body)
        old = self.users.get(name)
        if old and _is_reserved(old):
            not_allowed(f"user [{name}] is reserved and only the password can be changed")
        sent = _password_digest(name, body)
        if old is None and sent is None:
            invalid_state("password must be specified unless you are updating an existing user")
        user = self.new_user(name, body["roles"], body.get("metadata") or {})
        user |= {key: body.get(key) for key in ("full_name", "email")}
        user["enabled"] = body.get("enabled", True)
        user["digest"] = sent
        if old is not None and sent is None:  # without a password it is a partial update: objects are merged
            user |= {"digest": old["digest"], "metadata": _merged(old["metadata"], user["metadata"])}
        self.users[name] = user
        return as_json({"created": old is None})

    @route("POST", USER)
    def post_user(self, request: Request, name: str) -> Response:
        return self.put_user(request, name)

    @route("DELETE", USER)
    def delete_user(self, _request: Request, name: str) -> Response:
        user = self.users.get(name)
        if user and _is_reserved(user):
            not_allowed(f"user [{name}] is reserved and cannot be deleted")
        self.users.pop(name, None)
        return as_json({"found": user is not None}, 200 if user else 404)

    @route("PUT", f"{USER}/_password")
    def change_password(self, request: Request, name: str) -> Response:
        body = json_object(request, frozenset(["password", "password_hash"]))
        problems = _password_problems(body)
        if not body:
            problems.append("password cannot be missing")
        if problems:
            invalid_request(*problems)
        if name not in self.users:
            invalid_state("user must exist in order to change password")
        self.users[name]["digest"] = _password_digest(name, body)
        return as_json({})

    @route("POST", f"{USER}/_password")
    def post_password(self, request: Request, name: str) -> Response:
        return self.change_password(request, name)

    @route("PUT", f"{USER}/_enable")
    def enable(self, _request: Request, name: str) -> Response:
        return self._set_enabled(name, enabled=True)

    @route("POST", f"{USER}/_enable")
    def post_enable(self, request: Request, name: str) -> Response:
        return self.enable(request, name)

    @route("PUT", f"{USER}/_disable")
    def disable(self, _request: Request, name: str) -> Response:
        return self._set_enabled(name, enabled=False)

    @route("POST", f"{USER}/_disable")
    def post_disable(self, request: Request, name: str) -> Response:
        return self.disable(request, name)

    def _set_enabled(self, name: str, *, enabled: bool) -> Response:
        if name not in self.users:
            invalid_state(f"only existing users can be {'enabled' if enabled else 'disabled'}")
        self.users[name]["enabled"] = enabled
        return as_json({})


def _view(user: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in user.items() if key != "digest"}


def _is_reserved(user: dict[str, Any]) -> bool:
    return user["metadata"].get("_reserved") is True


def _check_request(name: str, body: dict[str, Any]) -> None:
    problems = [] if is_name(name) else [f"invalid user name [{name}]"]
    if not isinstance(body.get("roles"), list):
        problems.append("roles are missing")
    problems += [f"invalid role name [{role}]" for role in body.get("roles") or () if not is_name(role)]
    if any(key.startswith("_") for key in body.get("metadata") or {}):
        problems.append("metadata keys may not start with [_]")
    problems += _password_problems(body)
    if problems:
        invalid_request(*problems)


def is_name(name: object) -> bool:
    """Return whether users and roles may have this name: printable ASCII, no outer spaces, 507 characters at most."""
    return isinstance(name, str) and len(name) <= LONGEST_NAME and NAME.fullmatch(name) is not None


def _password_problems(body: dict[str, Any]) -> list[str]:
    password = body.get("password")
    too_short = password is not None and len(str(password)) < SHORTEST_PASSWORD
    return [f"passwords must be at least [{SHORTEST_PASSWORD}] characters long"] if too_short else []


def _password_digest(name: str, body: dict[str, Any]) -> str | None:
    """Return the digest to keep; a given hash is kept, but nobody can log in with it here."""
    password = body.get("password")
    return body.get("password_hash") if password is None else digest(str(password), owner=name)


def _merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    both = {
        key: _merged(old[key], new[key])
        for key in old.keys() & new.keys()
        if isinstance(old[key], dict) and isinstance(new[key], dict)
    }
    return old | new | both

"""Calls of the role-strategy plugin.

Trap: every POST answers 200 with an empty body whether or not anything changed, also for an unknown role and an
unknown user. Only `getRole` shows the result.
"""

from __future__ import annotations

import json
import re
from typing import Any

from werkzeug.wrappers import Request, Response

from harbour.jenkins.core import ADMINISTER, JenkinsCore, Role
from harbour.jenkins.pages import ApiError, failure, jetty_error, oops
from harbour.jenkins.permissions import PERMISSIONS
from harbour.server import route

BASE = "/role-strategy/strategy"


class JenkinsRoles(JenkinsCore):
    """The roles, as clients see them."""

    old_role_strategy = False
    """True for a plugin before 657: no user and group calls (404), `sids` as plain strings."""

    @route("POST", f"{BASE}/addRole")
    def add_role(self, request: Request) -> Response:
        roles, name = self._roles(request), _required(request, "roleName")
        wanted = _required(request, "permissionIds").split(",")
        overwrite = _required(request, "overwrite") == "true"
        if request.values.get("template"):
            raise failure("A template with this name does not exist")
        if overwrite or name not in roles:  # overwriting removes every assignment, as in the plugin
            known = sorted({each.strip() for each in wanted} & PERMISSIONS)
            roles[name] = Role(pattern=_pattern(request), permissions=known)
        return Response()

    @route("POST", f"{BASE}/removeRoles")
    def remove_roles(self, request: Request) -> Response:
        roles = self._roles(request)
        for name in _required(request, "roleNames").split(","):
            roles.pop(name, None)
        return Response()

    @route("POST", f"{BASE}/assignRole")
    def assign_either(self, request: Request) -> Response:
        return self._assign(request, "EITHER", "sid")

    @route("POST", f"{BASE}/assignUserRole")
    def assign_user(self, request: Request) -> Response:
        return self._assign(request, "USER", "user")

    @route("POST", f"{BASE}/assignGroupRole")
    def assign_group(self, request: Request) -> Response:
        return self._assign(request, "GROUP", "group")

    @route("POST", f"{BASE}/unassignRole")
    def unassign_either(self, request: Request) -> Response:
        return self._unassign(request, "EITHER", "sid")

    @route("POST", f"{BASE}/unassignUserRole")
    def unassign_user(self, request: Request) -> Response:
        return self._unassign(request, "USER", "user")

    @route("POST", f"{BASE}/unassignGroupRole")
    def unassign_group(self, request: Request) -> Response:
        return self._unassign(request, "GROUP", "group")

    @route("POST", f"{BASE}/deleteSid")
    def delete_either(self, request: Request) -> Response:
        return self._remove_sid(request, "EITHER", "sid")

    @route("POST", f"{BASE}/deleteUser")
    def delete_user_entries(self, request: Request) -> Response:
        return self._remove_sid(request, "USER", "user")

    @route("POST", f"{BASE}/deleteGroup")
    def delete_group_entries(self, request: Request) -> Response:
        return self._remove_sid(request, "GROUP", "group")

    def _assign(self, request: Request, kind: str, parameter: str) -> Response:
        self._require_plugin(kind)
        role, sid = self._role(request), _required(request, parameter)
        if role is not None:
            role.sids.add((kind, sid))
        return Response()

    def _unassign(self, request: Request, kind: str, parameter: str) -> Response:
        self._require_plugin(kind)
        role, sid = self._role(request), _required(request, parameter)
        if role is not None:
            role.sids.discard((kind, sid))
        return Response()

    def _remove_sid(self, request: Request, kind: str, parameter: str) -> Response:
        self._require_plugin(kind)
        roles, sid = self._roles(request), _required(request, parameter)
        for role in roles.values():
            role.sids.discard((kind, sid))
        return Response()

    def _require_plugin(self, kind: str) -> None:
        if self.old_role_strategy and kind != "EITHER":
            raise ApiError(jetty_error(404))

    # -- reading ---------------------------------------------------------------------------------------------

    @route("GET", f"{BASE}/getRole")
    def get_role(self, request: Request) -> Response:
        role = self._role(request)
        if role is None:
            return _json({})
        shown: dict[str, Any] = {"permissionIds": dict.fromkeys(role.permissions, True)}
        if request.args["type"] != "globalRoles":
            shown["pattern"] = role.pattern
        shown["sids"] = self._sids(role)
        if request.args["type"] == "projectRoles":
            shown["template"] = ""
        return _json(shown)

    @route("GET", f"{BASE}/getAllRoles")
    def get_all_roles(self, request: Request) -> Response:
        roles = self._roles(request, default="globalRoles")
        return _json({name: self._sids(role) for name, role in roles.items()})

    @route("GET", f"{BASE}/getRoleAssignments")
    def get_role_assignments(self, request: Request) -> Response:
        self._require_plugin("USER")
        roles = self._roles(request, default="globalRoles")
        entries = sorted({entry for role in roles.values() for entry in role.sids})
        shown = [
            {"name": sid, "type": kind, "roles": [name for name, role in roles.items() if (kind, sid) in role.sids]}
            for kind, sid in entries
        ]
        return _json(shown)

    def _sids(self, role: Role) -> list[Any]:
        entries = sorted(role.sids)
        if self.old_role_strategy:
            return [sid for _kind, sid in entries]
        return [{"type": kind, "sid": sid} for kind, sid in entries]

    def _roles(self, request: Request, default: str | None = None) -> dict[str, Role]:
        self.require(request, ADMINISTER)
        kind = request.values.get("type") or default or _required(request, "type")
        if kind not in self.roles:
            raise oops(f"java.lang.IllegalArgumentException: Unknown role type {kind}")
        return self.roles[kind]

    def _role(self, request: Request) -> Role | None:
        return self._roles(request).get(_required(request, "roleName"))


def _required(request: Request, parameter: str) -> str:
    value = request.values.get(parameter)
    if value is None:
        raise oops(f"jakarta.servlet.ServletException: Required Query parameter {parameter} is missing")
    return value


def _pattern(request: Request) -> str:
    pattern = request.values.get("pattern") or ".*"
    try:
        re.compile(pattern)
    except re.error as error:
        raise oops("java.util.regex.PatternSyntaxException") from error
    return pattern


def _json(shown: Any) -> Response:
    return Response(json.dumps(shown), content_type="application/json;charset=UTF-8")

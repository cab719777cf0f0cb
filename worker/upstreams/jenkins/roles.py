"""Role assignments of Jenkins' role-strategy plugin.

role   no marker: an assignment is what it is; role calls answer 200 whether or not they changed anything
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from common.errors import Permanent
from worker.upstreams.base import Api
from worker.upstreams.jenkins.errors import still_there, unseen

ITEM, GLOBAL, AGENT = "projectRoles", "globalRoles", "slaveRoles"
_STRATEGY = ("role-strategy", "strategy")


@dataclass(frozen=True, kw_only=True)
class RoleAssignment:
    """A role that a user has. `found`: the user had it before the call."""

    role: str
    found: bool


@dataclass(frozen=True, kw_only=True)
class _SidSchema:
    sid: str
    type: str = ""


@dataclass(frozen=True, kw_only=True)
class _RoleSchema:
    """Jenkins answers `{}` for a role that it does not have; one that it has shows its permissions at least."""

    permissionIds: dict[str, Any] | None = None  # noqa: N815 - Jenkins' word
    sids: list[str | _SidSchema] | None = None

    @property
    def is_absent(self) -> bool:
        return self.permissionIds is None and self.sids is None


class Roles:
    """The roles of one Jenkins."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def ensure(self, login: str, *, role: str, role_type: str = ITEM, on_create: Callable[[], None]) -> RoleAssignment:
        """Give `login` the existing role `role`. `on_create` runs just before the assignment.

        Safe to repeat: a role's members are a set. Raises Permanent when the role or the role strategy is missing,
        because Jenkins would answer 200 and assign nothing; Transient when the assignment did not take.
        Source: role-strategy `RoleBasedAuthorizationStrategy.doAssignUserRole`.
        """
        if login in self._members(role, role_type):
            return RoleAssignment(role=role, found=True)
        on_create()
        self._assign(login, role, role_type)
        if login not in self._members(role, role_type):
            raise unseen(self._api, f"the role {role} of {login}")
        return RoleAssignment(role=role, found=False)

    def held_by(self, login: str) -> set[tuple[str, str]]:
        """Return the roles that a user `login` has or would have, each as (type, name). Reads only.

        Jenkins keeps assignments of users that it does not have, for whoever gets the name; it compares names without
        regard to case, and an entry for either kind may have been meant for a group. Raises Permanent when
        role-strategy is not active. Source: role-strategy `RoleBasedAuthorizationStrategy.doGetAllRoles`, `Sid`.
        """
        return {(kind, role) for kind in (GLOBAL, ITEM, AGENT) for role in self._held_of(kind, login)}

    def _held_of(self, role_type: str, login: str) -> list[str]:
        reply = self._api.send("GET", *_STRATEGY, "getAllRoles", params={"type": role_type})
        if reply.status == 404:
            raise self._no_role_strategy()
        roles = self._api.expect(reply, "reading the roles").read_as(dict[str, list[str | _SidSchema]])
        return [
            role
            for role, entries in roles.items()
            if any((user := _user_of(entry)) and user.casefold() == login.casefold() for entry in entries)
        ]

    def _members(self, role: str, role_type: str) -> set[str]:
        details = self._read_role(role, role_type)
        if details.is_absent:
            raise self._api.permanent(f"Jenkins has no role {role} among its {role_type}")
        return {name for entry in details.sids or () if (name := _user_of(entry))}

    def _read_role(self, role: str, role_type: str) -> _RoleSchema:
        """Return the role, one without anything when there is none of that name."""
        params = {"type": role_type, "roleName": role}
        reply = self._api.send("GET", *_STRATEGY, "getRole", params=params)
        if reply.status == 404:
            raise self._no_role_strategy()
        return self._api.expect(reply, f"reading the role {role}").read_as(_RoleSchema)

    def _assign(self, login: str, role: str, role_type: str) -> None:
        form = {"type": role_type, "roleName": role}
        reply = self._api.send("POST", *_STRATEGY, "assignUserRole", form={**form, "user": login})
        if reply.status == 404:  # a plugin older than 657, or no role strategy at all
            self._require_role_strategy(role_type)
            reply = self._api.send("POST", *_STRATEGY, "assignRole", form={**form, "sid": login})
        self._api.expect(reply, f"assigning the role {role}")

    def _require_role_strategy(self, role_type: str) -> None:
        reply = self._api.send("GET", *_STRATEGY, "getAllRoles", params={"type": role_type})
        if reply.status == 404:
            raise self._no_role_strategy()
        self._api.expect(reply, "reading the roles")

    def unassign(self, login: str, *, role: str, role_type: str = ITEM) -> bool:
        """Take the role `role` from `login`; return True when `login` does not have it any more.

        Safe to repeat: nothing is written when the role is missing or not assigned. Raises Transient when the role is
        still assigned afterwards, Permanent when role-strategy is not active.
        Source: role-strategy `RoleBasedAuthorizationStrategy.doUnassignUserRole`, `doUnassignRole`.
        """
        form = {"type": role_type, "roleName": role}
        entries = self._entries_of(login, role, role_type)
        for kind in sorted(entries):  # each call removes entries of its own kind only
            verb, field = ("unassignUserRole", "user") if kind == "USER" else ("unassignRole", "sid")
            reply = self._api.send("POST", *_STRATEGY, verb, form={**form, field: login})
            self._api.expect(reply, f"taking back the role {role}")
        if entries and self._entries_of(login, role, role_type):
            raise still_there(self._api, f"the role {role} of {login}")
        return True

    def _entries_of(self, login: str, role: str, role_type: str) -> set[str]:
        """Return the kinds of the entries with which `login` has the role; none when there is no such role."""
        sids = self._read_role(role, role_type).sids or ()
        return {_kind_of(entry) for entry in sids if _user_of(entry) == login}

    def _no_role_strategy(self) -> Permanent:
        return self._api.permanent("role-strategy is not the active authorization of Jenkins")


def _user_of(entry: str | _SidSchema) -> str | None:
    """Return the user of a role's member: a plain name before role-strategy 657, else an object with a type."""
    if isinstance(entry, str):
        return entry
    return entry.sid if entry.type != "GROUP" else None


def _kind_of(entry: str | _SidSchema) -> str:
    """Return whom a member's entry is for: plain names and entries of a deprecated call are for either."""
    return "EITHER" if isinstance(entry, str) else entry.type

"""How do people get onto Jenkins, and off it again: users and role assignments?

user     no marker: an account that opens with the password of this very sign-up is ours
role     no marker: an assignment is what it is; role calls answer 200 whether or not they did anything
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from common.errors import ActionBy, Conflict, Permanent
from worker.upstreams.jenkins.base import Edge
from worker.upstreams.jenkins.errors import form_errors, location, refusal

_LOGIN_ACCOUNT = "hudson.security.HudsonPrivateSecurityRealm$Details"
_STRATEGY = ("role-strategy", "strategy")


@dataclass(frozen=True, kw_only=True)
class User:
    """A login account. `url` is Jenkins' own; `found`: it was there before the call."""

    id: str
    url: str
    found: bool


@dataclass(frozen=True, kw_only=True)
class RoleAssignment:
    """A role that a user has. `found`: the user had it before the call."""

    role: str
    found: bool


@dataclass(frozen=True, kw_only=True)
class _Person:
    id: str
    absoluteUrl: str  # noqa: N815 - Jenkins' word
    property: list[dict[str, Any]]

    def can_log_in_as(self, login: str) -> bool:
        """Say whether this is the login account `login`: commit authors are users of Jenkins, too."""
        has_password = any(entry.get("_class") == _LOGIN_ACCOUNT for entry in self.property)
        return has_password and self.id.casefold() == login.casefold()


class People(Edge):
    """The part of the client that signs people up and off."""

    # -- users ----------------------------------------------------------------------------------------------

    def ensure_user(self, *, login: str, password: str, name: str, email: str, on_create: Callable[[], None]) -> User:
        """Return the login account `login`, creating it when absent. `on_create` runs just before the creation.

        Safe to repeat: an account that opens with `password` is ours. Raises Conflict when it does not, Permanent for
        the user when Jenkins rejects the form, and for the operator when Jenkins does not keep its own users.
        Source: `HudsonPrivateSecurityRealm.doCreateAccountByAdmin`.
        """
        person = self._find_person(login)
        found = person is not None
        if person is None:
            on_create()
            rejection = self._submit_account(login, password, name, email)
            person = self._find_person(login)
            if person is None:
                raise rejection or self._unseen(f"the user {login}")
        self._prove_ours(login, password)
        return User(id=person.id, url=person.absoluteUrl, found=found)

    def _find_person(self, login: str) -> _Person | None:
        # not /user/{x}: that also answers with whoever has x as a *full name*
        reply = self._http.send("GET", "securityRealm", "user", login, "api", "json")
        if reply.status == 404:
            return None
        person = self._expect(reply, f"reading the user {login}").read_as(_Person)
        return person if person.can_log_in_as(login) else None

    def _submit_account(self, login: str, password: str, name: str, email: str) -> Permanent | None:
        """Send the form; return why it was rejected, None when it was accepted."""
        fields = {"username": login, "password1": password, "password2": password}
        form = {**fields, "fullname": name, "email": email}
        reply = self._http.send("POST", "securityRealm", "createAccountByAdmin", form=form)
        if reply.status == 302 and location(reply).endswith("/securityRealm/"):
            return None
        if reply.status == 200:
            return self._permanent(form_errors(reply, secrets=(password,)), ActionBy.USER)
        if reply.status == 404:
            raise self._permanent("Jenkins does not keep its own users: another security realm is active")
        raise refusal(self._http, reply, f"creating the user {login}", secrets=(password,))

    def _prove_ours(self, login: str, password: str) -> None:
        """Log in with the password: two creations of one name can both succeed, and the last password wins."""
        reply = self._http.send("GET", "whoAmI", "api", "json", auth=(login, password))
        if reply.status not in (200, 401):
            raise refusal(self._http, reply, f"checking the user {login}", secrets=(password,))
        who = reply.read_as(dict[str, Any]) if reply.status == 200 else {}
        if str(who.get("name", "")).casefold() != login.casefold():
            raise Conflict(
                f"Jenkins already has a user {login} with another password",
                choices=("choose another login", "ask an operator to remove the Jenkins user"),
                upstream=self._http.name,
            )

    def remove_user(self, login: str) -> bool:
        """Delete the login account `login`; return True when there is none any more.

        Safe to repeat: an absent account is done, without a write. There is no marker to look at: only the caller knows
        whether the account is ours. Its roles stay behind for the next user of that name: take them back first.
        Raises Transient when the account is still there afterwards.
        Source: `HudsonPrivateSecurityRealm.getUser`, `User.doDoDelete`.
        """
        if self._find_person(login) is None:
            return True
        reply = self._http.send("POST", "securityRealm", "user", login, "doDelete")
        if reply.status not in (302, 404):
            raise refusal(self._http, reply, f"deleting the user {login}")
        if self._find_person(login) is not None:
            raise self._still_there(f"the user {login}")
        return True

    # -- roles ----------------------------------------------------------------------------------------------

    def ensure_role(
        self, login: str, *, role: str, role_type: str = "projectRoles", on_create: Callable[[], None]
    ) -> RoleAssignment:
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
            raise self._unseen(f"the role {role} of {login}")
        return RoleAssignment(role=role, found=False)

    def _members(self, role: str, role_type: str) -> set[str]:
        details = self._read_role(role, role_type)
        if not details:
            raise self._permanent(f"Jenkins has no role {role} among its {role_type}")
        return {name for entry in details.get("sids") or () if (name := _user_of(entry))}

    def _read_role(self, role: str, role_type: str) -> dict[str, Any]:
        """Return the role, empty when there is none of that name."""
        params = {"type": role_type, "roleName": role}
        reply = self._http.send("GET", *_STRATEGY, "getRole", params=params)
        if reply.status == 404:
            raise self._no_role_strategy()
        return self._expect(reply, f"reading the role {role}").read_as(dict[str, Any])

    def _assign(self, login: str, role: str, role_type: str) -> None:
        form = {"type": role_type, "roleName": role}
        reply = self._http.send("POST", *_STRATEGY, "assignUserRole", form={**form, "user": login})
        if reply.status == 404:  # a plugin older than 657, or no role strategy at all
            self._require_role_strategy(role_type)
            reply = self._http.send("POST", *_STRATEGY, "assignRole", form={**form, "sid": login})
        self._expect(reply, f"assigning the role {role}")

    def _require_role_strategy(self, role_type: str) -> None:
        reply = self._http.send("GET", *_STRATEGY, "getAllRoles", params={"type": role_type})
        if reply.status == 404:
            raise self._no_role_strategy()
        self._expect(reply, "reading the roles")

    def unassign_role(self, login: str, *, role: str, role_type: str = "projectRoles") -> bool:
        """Take the role `role` from `login`; return True when `login` does not have it any more.

        Safe to repeat: nothing is written when the role is missing or not assigned. Raises Transient when the role is
        still assigned afterwards, Permanent when role-strategy is not active.
        Source: role-strategy `RoleBasedAuthorizationStrategy.doUnassignUserRole`, `doUnassignRole`.
        """
        form = {"type": role_type, "roleName": role}
        entries = self._entries_of(login, role, role_type)
        for kind in sorted(entries):  # each call removes entries of its own kind only
            verb, field = ("unassignUserRole", "user") if kind == "USER" else ("unassignRole", "sid")
            reply = self._http.send("POST", *_STRATEGY, verb, form={**form, field: login})
            self._expect(reply, f"taking back the role {role}")
        if entries and self._entries_of(login, role, role_type):
            raise self._still_there(f"the role {role} of {login}")
        return True

    def _entries_of(self, login: str, role: str, role_type: str) -> set[str]:
        """Return the kinds of the entries with which `login` has the role; none when there is no such role."""
        sids = self._read_role(role, role_type).get("sids") or ()
        return {_kind_of(entry) for entry in sids if _user_of(entry) == login}

    def _no_role_strategy(self) -> Permanent:
        return self._permanent("role-strategy is not the active authorization of Jenkins")


def _user_of(entry: Any) -> str | None:
    """Return the user of a role's member: a plain name before role-strategy 657, else an object with a type."""
    if isinstance(entry, dict):
        return entry.get("sid") if entry.get("type") != "GROUP" else None
    return entry if isinstance(entry, str) else None


def _kind_of(entry: Any) -> str:
    """Return whom a member's entry is for: plain names and entries of a deprecated call are for either."""
    return str(entry.get("type")) if isinstance(entry, dict) else "EITHER"

"""Jenkins' users: created, marked and removed.

user   marker: a line of its description, written once the password of this very sign-up has opened the account
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from common.errors import ActionBy, Permanent
from common.plain_text import quoted
from worker.upstreams.base import Api
from worker.upstreams.error_text import what_to_change
from worker.upstreams.jenkins.errors import form_errors, location, still_there, unseen
from worker.upstreams.marker import is_line_of
from worker.upstreams.replies import refused

_LOGIN_ACCOUNT = "hudson.security.HudsonPrivateSecurityRealm$Details"


@dataclass(frozen=True, kw_only=True)
class User:
    """A login account. `url` is Jenkins' own, `description` what is written there; `found`: before the call."""

    id: str
    url: str
    description: str
    found: bool


@dataclass(frozen=True, kw_only=True)
class _PersonSchema:
    id: str
    absoluteUrl: str  # noqa: N815 - Jenkins' word
    property: list[dict[str, Any]]
    description: str | None = None

    def can_log_in_as(self, login: str) -> bool:
        """Say whether this is the login account `login`: commit authors are users of Jenkins, too."""
        has_password = any(entry.get("_class") == _LOGIN_ACCOUNT for entry in self.property)
        return has_password and self.id.casefold() == login.casefold()


@dataclass(frozen=True, kw_only=True)
class _WhoSchema:
    name: str = ""
    anonymous: bool = False


class Accounts:
    """The users of one Jenkins."""

    def __init__(self, api: Api) -> None:
        self._api = api

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
                raise rejection or unseen(self._api, f"the user {login}")
        self._prove_ours(login, password)
        return User(id=person.id, url=person.absoluteUrl, description=person.description or "", found=found)

    def is_the_persons(self, login: str, password: str) -> bool:
        """Say whether there is a login account `login` that opens with `password`. Reads only.

        Raises Conflict when the account does not: it is somebody else's.
        """
        if self._find_person(login) is None:
            return False
        self._prove_ours(login, password)
        return True

    def mark(self, user: User, *, marker: str, on_create: Callable[[], None]) -> None:
        """Write `marker` as a line of the description, unless it is there. `on_create` runs just before the change.

        Safe to repeat: what people wrote there stays. Raises Transient when Jenkins does not show it afterwards.
        Source: `User.doSubmitDescription`.
        """
        if is_line_of(user.description, marker):
            return
        on_create()
        form = {"description": "\n".join(filter(None, (marker, user.description)))}
        reply = self._api.send("POST", "securityRealm", "user", user.id, "submitDescription", form=form)
        if reply.status not in (302, 404):
            raise self._api.failed(reply, f"describing the user {user.id}")
        if not self.is_marked(user.id, marker=marker):
            raise unseen(self._api, f"the description of the user {user.id}")

    def is_marked(self, login: str, *, marker: str) -> bool | None:
        """Say whether the login account `login` carries `marker`; None when there is no such account."""
        person = self._find_person(login)
        return None if person is None else is_line_of(person.description, marker)

    def _find_person(self, login: str) -> _PersonSchema | None:
        # not /user/{x}: that also answers with whoever has x as a *full name*
        reply = self._api.send("GET", "securityRealm", "user", login, "api", "json")
        if reply.status == 404:
            return None
        person = self._api.expect(reply, f"reading the user {login}").read_as(_PersonSchema)
        return person if person.can_log_in_as(login) else None

    def _submit_account(self, login: str, password: str, name: str, email: str) -> Permanent | None:
        """Send the form; return why it was rejected, None when it was accepted."""
        fields = {"username": login, "password1": password, "password2": password}
        form = {**fields, "fullname": name, "email": email}
        reply = self._api.send("POST", "securityRealm", "createAccountByAdmin", form=form)
        if reply.status == 302 and location(reply).endswith("/securityRealm/"):
            return None
        if reply.status == 200:
            why = form_errors(reply, secrets=(password,))
            return self._api.permanent(
                f"Jenkins does not accept the user {login}{what_to_change(why)}: {quoted(why)}", ActionBy.USER
            )
        if reply.status == 404:
            raise self._api.permanent("Jenkins does not keep its own users: another security realm is active")
        raise self._api.failed(reply, f"creating the user {login}", secrets=(password,))

    def _prove_ours(self, login: str, password: str) -> None:
        """Log in with the password: two creations of one name can both succeed, and the last password wins."""
        if self.opens_with(login, password):
            return
        self._require_log_ins()
        if not self.opens_with(login, password):
            raise self._api.conflict(
                f"Jenkins already has a user {login} with another password",
                "choose another login",
                "ask an operator to remove the Jenkins user",
            )

    def opens_with(self, login: str, password: str) -> bool:
        """Say whether this password is the account's. While Jenkins starts, no password is right.

        Source: `WhoAmI`, `BasicHeaderRealPasswordAuthenticator`.
        """
        reply = self._api.send("GET", "whoAmI", "api", "json", auth=(login, password))
        if reply.status == 401:
            return False
        if reply.status != 200:
            raise self._api.failed(reply, f"checking the user {login}", secrets=(password,))
        if reply.read_as(_WhoSchema).name.casefold() != login.casefold():  # then nobody has read the password
            self._require_log_ins()
            raise self._api.transient(f"Jenkins does not say that {login} is logged in: a proxy may drop the login")
        return True

    def _require_log_ins(self) -> None:
        """Check that Jenkins knows anybody now: while it starts, or behind a proxy, no password is right.

        Raises Refused when it does not know us.
        """
        reply = self._api.expect(self._api.send("GET", "whoAmI", "api", "json"), "checking who Jenkins knows")
        if reply.read_as(_WhoSchema).anonymous:
            raise refused(reply, "Jenkins takes every call for an anonymous one")

    def remove_user(self, login: str, *, marker: str | None) -> bool:
        """Delete the login account `login`; return True when there is none any more.

        Safe to repeat: an absent account is done, without a write. `marker` None: it was made before accounts were
        marked, and only the caller knows whether it is ours. Its roles stay behind for the next user of that name: take
        them back first. Raises Conflict when the account does not carry `marker`, Transient when it is still there
        afterwards. Source: `HudsonPrivateSecurityRealm.getUser`, `User.doDoDelete`.
        """
        person = self._find_person(login)
        if person is None:
            return True
        if marker is not None and not is_line_of(person.description, marker):
            reason = f"Jenkins has a user {login} that is not the one that was made here"
            raise self._api.conflict(reason, "ask an operator whose account it is")
        reply = self._api.send("POST", "securityRealm", "user", login, "doDelete")
        if reply.status not in (302, 404):
            raise self._api.failed(reply, f"deleting the user {login}")
        if self._find_person(login) is not None:
            raise still_there(self._api, f"the user {login}")
        return True

"""Elasticsearch's native users, who are Kibana's: created, corrected, disabled, removed.

Writing a user is an upsert without create-only: it replaces the password and the roles of whoever has the name. So
every write comes after a read, and only over a user that carries our marker: `metadata.slipway.marker`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from common.errors import ActionBy, Conflict, StepError
from common.plain_text import quoted
from worker.upstreams.base import Api
from worker.upstreams.elasticsearch.identity import foreign_answer
from worker.upstreams.error_text import reason_in, what_to_change
from worker.upstreams.replies import Reply

_NOT_OURS_TO_WRITE = ("is reserved", "is anonymous", "is internal")


@dataclass(frozen=True, kw_only=True)
class User:
    """`web_url` is empty: Elasticsearch has no page for a user. `found`: it was there before this call."""

    login: str
    web_url: str
    found: bool


@dataclass(frozen=True)
class _UserSchema:
    username: str
    roles: list[str]
    full_name: str | None = None
    email: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    enabled: bool = True

    def is_marked(self, marker: str) -> bool:
        ours = self.metadata.get("slipway")
        return isinstance(ours, dict) and ours.get("managed") is True and ours.get("marker") == marker

    def is_like(self, wanted: Mapping[str, Any]) -> bool:
        is_same = self.full_name == wanted["full_name"] and self.email == wanted["email"]
        return is_same and set(self.roles) == set(wanted["roles"])


class Users:
    """The native users of one Elasticsearch."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def ensure(
        self,
        *,
        login: str,
        password: str,
        roles: Sequence[str],
        full_name: str,
        email: str,
        marker: str,
        on_create: Callable[[], None],
    ) -> User:
        """Return the user `login` with exactly `roles`, creating it when absent.

        Safe to repeat: a user with our marker is ours, and is brought back to these roles and names; its password and
        whether it is enabled are left as they are. Raises Conflict when the name is somebody else's or built in,
        Permanent when a role does not exist (a user with a misspelt role would be made without rights, and without
        an error) or the password is refused. Source: Elasticsearch security API, "Create or update users".
        """
        for role in roles:
            self._check_role(role)
        wanted = {"roles": list(roles), "full_name": full_name, "email": email}
        user = self._find(login)
        if user is None:
            return self._create(login, wanted, password, marker, on_create)
        if not user.is_marked(marker):
            raise self._taken(login)
        if not user.is_like(wanted):
            self._put(login, {**wanted, "enabled": user.enabled, "metadata": _marked(marker, user.metadata)})
            self._verify(login, wanted, marker)
        return User(login=login, web_url="", found=True)

    def is_ours(self, login: str, *, marker: str) -> bool:
        """Say whether there is a user `login`, which is ours then. Reads only. Raises Conflict when it is not."""
        user = self._find(login)
        if user is not None and not user.is_marked(marker):
            raise self._taken(login)
        return user is not None

    def may_sign_in(self, login: str) -> bool:
        """Say whether there is a user `login`, who is enabled. Reads only."""
        user = self._find(login)
        return user is not None and user.enabled

    def _create(
        self, login: str, wanted: dict[str, Any], password: str, marker: str, on_create: Callable[[], None]
    ) -> User:
        on_create()
        reply = self._put(login, {**wanted, "password": password, "metadata": _marked(marker, {})}, secret=password)
        self._verify(login, wanted, marker)
        created = reply.read_as(_WrittenSchema).created
        return User(
            login=login, web_url="", found=not created
        )  # another request created it first: then it is not ours to undo

    def set_password(self, login: str, password: str, *, marker: str) -> bool:
        """Set the password of our user `login`; return False when there is no such user.

        Safe to repeat: a user whom the password opens is done. Raises Conflict when the user is somebody else's,
        Permanent when the password is refused. Source: Elasticsearch security API, "Change passwords".
        """
        if self._ours(login, marker) is None:
            return False
        if self._opens_with(login, password):
            return True
        reply = self._api.send("PUT", "user", login, "_password", json={"password": password})
        if reply.status == 400 and self._find(login) is None:
            return False
        if reply.status == 400:
            raise self._refused(reply, login, password)
        if reply.status != 200:
            raise self._api.failed(reply, f"setting the password of {login}", secrets=(password,))
        return True

    def _opens_with(self, login: str, password: str) -> bool:
        """Say whether the user can log in with this password. Source: "Authenticate"."""
        reply = self._api.send("GET", "_authenticate", auth=(login, password))
        if reply.status not in (200, 401) or foreign_answer(reply):
            raise self._api.failed(reply, f"checking the user {login}", secrets=(password,))
        return reply.status == 200 and reply.read_as(_WhoSchema).username == login

    def remove(self, login: str, *, marker: str) -> bool:
        """Return True once our user `login` is gone; safe to repeat.

        Raises Conflict when the user is somebody else's. Source: Elasticsearch security API, "Delete users".
        """
        if self._ours(login, marker) is None:
            return True
        reply = self._api.send("DELETE", "user", login)
        if reply.status not in (200, 404):
            raise self._api.failed(reply, f"removing the user {login}")
        user = self._find(login)
        if user and user.is_marked(marker):  # without our marker it is a new one of the same name
            raise self._api.transient(f"Elasticsearch still shows the user {login}")
        return True

    def disable(self, login: str, *, marker: str) -> bool:
        """Return True once our user `login` cannot sign in: disabled, which can be undone, or gone; safe to repeat.

        Raises Conflict when the user is somebody else's. Source: Elasticsearch security API, "Disable users".
        """
        user = self._ours(login, marker)
        if user is None or not user.enabled:
            return True
        reply = self._api.send("PUT", "user", login, "_disable")
        if reply.status != 200:
            raise self._api.failed(reply, f"disabling the user {login}")
        user = self._find(login)
        if user and user.enabled:
            raise self._api.transient(f"Elasticsearch still shows the user {login} as enabled")
        return True

    def _ours(self, login: str, marker: str) -> _UserSchema | None:
        user = self._find(login)
        if user and not user.is_marked(marker):
            reason = f"Elasticsearch's user {login} is not one that we made"
            raise self._api.conflict(reason, "leave it to whoever made it", "ask an operator whose it is")
        return user

    def _check_role(self, role: str) -> None:
        reply = self._api.send("GET", "role", role)
        if reply.status not in (200, 404) or foreign_answer(reply):
            raise self._api.failed(reply, f"reading the role {role}")
        if reply.status == 404 or role not in reply.read_as(dict[str, Any]):
            raise self._api.permanent(f"Elasticsearch has no role {role}")

    def _find(self, login: str) -> _UserSchema | None:
        if "," in login:  # Elasticsearch would return several users, and we would overwrite one unread
            reason = "a Kibana user's name cannot have a comma"
            raise self._api.permanent(reason, ActionBy.USER)
        reply = self._api.send("GET", "user", login)
        if reply.status not in (200, 404) or foreign_answer(reply):
            raise self._api.failed(reply, f"reading the user {login}")
        return reply.read_as(dict[str, _UserSchema]).get(login) if reply.status == 200 else None

    def _put(self, login: str, body: dict[str, Any], *, secret: str = "") -> Reply:
        reply = self._api.send("PUT", "user", login, json=body)
        if reply.status == 400:
            raise self._refused(reply, login, secret)
        if reply.status != 200:
            raise self._api.failed(reply, f"writing the user {login}", secrets=(secret,))
        return reply

    def _verify(self, login: str, wanted: Mapping[str, Any], marker: str) -> None:
        user = self._find(login)
        if not (user and user.is_marked(marker) and user.is_like(wanted)):
            reason = f"Elasticsearch does not show the user {login} as we wrote it"
            raise self._api.transient(reason)

    def _taken(self, login: str) -> Conflict:
        reason = f"Elasticsearch already has a user {login}, and we did not make it"
        return self._api.conflict(reason, "choose another id", "ask an operator whose it is")

    def _refused(self, reply: Reply, login: str, secret: str) -> StepError:
        why = reason_in(reply.body, secrets=(secret,))
        if any(words in why for words in _NOT_OURS_TO_WRITE):
            return self._taken(login)
        reason = f"Elasticsearch does not accept the user {login}{what_to_change(why)}: {quoted(why)}"
        return self._api.permanent(reason, ActionBy.USER)


@dataclass(frozen=True)
class _WhoSchema:
    username: str


@dataclass(frozen=True)
class _WrittenSchema:
    created: bool


def _marked(marker: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata to send: what was there, which a write without it may drop, and our marker."""
    kept = {key: value for key, value in metadata.items() if not key.startswith("_")}
    return {**kept, "slipway": {"managed": True, "marker": marker}}

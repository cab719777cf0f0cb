"""How does a person get into Kibana, whose users live in Elasticsearch, without anybody else being overwritten?

Writing a user there is an upsert without create-only: it replaces the password and the roles of whoever has the name.
So nothing is written before a look, and only over what carries our marker: `metadata.slipway.marker`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from common.errors import ActionBy, Conflict, Permanent, StepError, Transient
from worker.upstreams.error_text import reason_in
from worker.upstreams.http import Deadline, Http, Reply, unexpected

_NOT_OURS_TO_WRITE = ("is reserved", "is anonymous", "is internal")


@dataclass(frozen=True, kw_only=True)
class User:
    """`web_url` is empty: Elasticsearch has no page for a user. `found`: it was there before this call."""

    login: str
    web_url: str
    found: bool


@dataclass(frozen=True)
class _UserRow:
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


class Elasticsearch:
    """Elasticsearch's security API. `http` carries a user with the cluster privilege `manage_security`."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def within(self, deadline: Deadline) -> Elasticsearch:
        return Elasticsearch(self._http.within(deadline))

    def reading(self) -> Elasticsearch:
        """Return a copy that cannot write: it raises WouldWrite instead."""
        return Elasticsearch(self._http.reading())

    def ensure_user(
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
        row = self._row(login)
        if row is None:
            return self._create(login, wanted, password, marker, on_create)
        if not row.is_marked(marker):
            raise self._taken(login)
        if not row.is_like(wanted):
            self._put(login, {**wanted, "enabled": row.enabled, "metadata": _marked(marker, row.metadata)})
            self._verify(login, wanted, marker)
        return User(login=login, web_url="", found=True)

    def _create(
        self, login: str, wanted: dict[str, Any], password: str, marker: str, on_create: Callable[[], None]
    ) -> User:
        on_create()
        reply = self._put(login, {**wanted, "password": password, "metadata": _marked(marker, {})}, secret=password)
        self._verify(login, wanted, marker)
        created = reply.read_as(_Written).created
        return User(login=login, web_url="", found=not created)  # somebody was quicker: then it is not ours to undo

    def remove_user(self, login: str, *, marker: str) -> bool:
        """Return True once our user `login` is gone; safe to repeat.

        Raises Conflict when the user is somebody else's. Source: Elasticsearch security API, "Delete users".
        """
        if self._our_row(login, marker) is None:
            return True
        reply = self._http.send("DELETE", "_security", "user", login)
        if reply.status not in (200, 404):
            raise self._failed(reply, f"removing the user {login}")
        row = self._row(login)
        if row and row.is_marked(marker):  # without our marker it is a new one of the same name
            raise Transient(f"Elasticsearch still shows the user {login}", upstream=self._http.name)
        return True

    def disable_user(self, login: str, *, marker: str) -> bool:
        """Return True once our user `login` cannot sign in: disabled, which can be undone, or gone; safe to repeat.

        Raises Conflict when the user is somebody else's. Source: Elasticsearch security API, "Disable users".
        """
        row = self._our_row(login, marker)
        if row is None or not row.enabled:
            return True
        reply = self._http.send("PUT", "_security", "user", login, "_disable")
        if reply.status != 200:
            raise self._failed(reply, f"disabling the user {login}")
        row = self._row(login)
        if row and row.enabled:
            raise Transient(f"Elasticsearch still shows the user {login} as enabled", upstream=self._http.name)
        return True

    def _our_row(self, login: str, marker: str) -> _UserRow | None:
        row = self._row(login)
        if row and not row.is_marked(marker):
            reason = f"Elasticsearch's user {login} is not one that we made"
            choices = ("leave it to whoever made it", "ask an operator whose it is")
            raise Conflict(reason, choices=choices, upstream=self._http.name)
        return row

    def _check_role(self, role: str) -> None:
        reply = self._http.send("GET", "_security", "role", role)
        if reply.status not in (200, 404):
            raise self._failed(reply, f"looking for the role {role}")
        if reply.status == 404 or role not in reply.read_as(dict[str, Any]):
            raise Permanent(f"Elasticsearch has no role {role}", upstream=self._http.name)

    def _row(self, login: str) -> _UserRow | None:
        if "," in login:  # Elasticsearch would look for several users, and we would overwrite one unseen
            reason = "a Kibana user's name cannot have a comma"
            raise Permanent(reason, action_by=ActionBy.USER, upstream=self._http.name)
        reply = self._http.send("GET", "_security", "user", login)
        if reply.status not in (200, 404):
            raise self._failed(reply, f"looking for the user {login}")
        return reply.read_as(dict[str, _UserRow]).get(login) if reply.status == 200 else None

    def _put(self, login: str, user: dict[str, Any], *, secret: str = "") -> Reply:
        reply = self._http.send("PUT", "_security", "user", login, json=user)
        if reply.status == 400:
            raise self._refused(reply, login, secret)
        if reply.status != 200:
            raise self._failed(reply, f"writing the user {login}", secret)
        return reply

    def _verify(self, login: str, wanted: Mapping[str, Any], marker: str) -> None:
        row = self._row(login)
        if not (row and row.is_marked(marker) and row.is_like(wanted)):
            reason = f"Elasticsearch does not show the user {login} as we wrote it"
            raise Transient(reason, upstream=self._http.name)

    def _taken(self, login: str) -> Conflict:
        return Conflict(
            f"Elasticsearch already has a user {login}, and we did not make it",
            choices=("choose another id", "ask an operator whose it is"),
            upstream=self._http.name,
        )

    def _refused(self, reply: Reply, login: str, secret: str) -> StepError:
        why = reason_in(reply.body, secrets=(secret,))
        if any(words in why for words in _NOT_OURS_TO_WRITE):
            return self._taken(login)
        reason = f"Elasticsearch does not accept the user {login}: {why}"
        return Permanent(reason, action_by=ActionBy.USER, upstream=self._http.name)

    def _failed(self, reply: Reply, doing: str, secret: str = "") -> StepError:
        """Say what an answer means that our question did not allow for."""
        is_passing = reply.status == 409 or (reply.status == 403 and "cluster_block_exception" in reply.text)
        if is_passing:  # a write that met another, or a cluster that is read-only for now
            why = reason_in(reply.body, secrets=(secret,))
            return Transient(f"Elasticsearch stopped us while {doing}: {why}", upstream=self._http.name)
        return unexpected(self._http, reply, doing, secrets=(secret,))


@dataclass(frozen=True)
class _Written:
    created: bool


def _marked(marker: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata to send: all that was there, for what is left out may be dropped, and our marker."""
    kept = {key: value for key, value in metadata.items() if not key.startswith("_")}
    return {**kept, "slipway": {"managed": True, "marker": marker}}

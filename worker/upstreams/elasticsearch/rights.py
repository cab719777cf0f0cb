"""Rights that Elasticsearch keeps under a name, whether or not it has a user of that name: API keys and role mappings.

key       lives on when its owner is removed, with the owner's rights of the time when it was made
mapping   a rule gives roles to whoever signs in under a name
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from worker.upstreams.base import Api

_NATIVE = "native"
_USUAL_NATIVE = "default_native"  # the name of the realm unless its operator has chosen one
_KEYS_ARE_OFF = "api keys are not enabled"
_USERNAME = "username"


@dataclass(frozen=True)
class _KeySchema:
    id: str
    name: str | None = None
    invalidated: bool = False
    expiration: int | None = None  # milliseconds since the epoch
    realm: str | None = None
    realm_type: str | None = None  # newer versions say so

    @property
    def is_native(self) -> bool | None:
        """Whether its owner is a native user; None: the realm has a name that its operator chose, and no type."""
        if self.realm_type is not None:
            return self.realm_type == _NATIVE
        return True if self.realm == _USUAL_NATIVE else None

    @property
    def works(self) -> bool:
        return not self.invalidated and (self.expiration is None or self.expiration > time.time() * 1000)


@dataclass(frozen=True)
class _KeysSchema:
    api_keys: list[_KeySchema]


@dataclass(frozen=True)
class _InvalidatedSchema:
    error_count: int = 0


@dataclass(frozen=True)
class _MappingSchema:
    enabled: bool = True
    rules: dict[str, Any] = field(default_factory=dict)


class Rights:
    """What one Elasticsearch gives to names."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def of(self, login: str) -> list[str]:
        """Return what whoever has the name `login` would have, each in words. Reads only.

        Rules for everybody, with patterns, are nobody's in particular and left out.
        Source: Elasticsearch security API, "Get API key information", "Get role mappings".
        """
        keys = [f"the API key {key.name or key.id}" for key in self._working_keys(login)]
        return [*keys, *(f"the role mapping {name}" for name in self._mappings_of(login))]

    def invalidate_keys(self, login: str) -> None:
        """Invalidate the API keys of the native user `login`; safe to repeat.

        Those of another realm's user of the same name stay, and those of `keys_of_unknown_realm`.
        Raises Transient when one still works afterwards.
        Source: Elasticsearch security API, "Invalidate API keys".
        """
        ids = self._native_keys(login)
        if not ids:
            return
        reply = self._api.send("DELETE", "api_key", json={"ids": ids})
        if reply.status not in (200, 404):
            raise self._api.failed(reply, f"invalidating the API keys of {login}")
        if self._native_keys(login):
            raise self._api.transient(f"Elasticsearch still shows API keys of {login}")

    def keys_of_unknown_realm(self, login: str) -> list[str]:
        """Return the names of working API keys of `login` that may be the native user's or another's. Reads only."""
        return [key.name or key.id for key in self._working_keys(login) if key.is_native is None]

    def _native_keys(self, login: str) -> list[str]:
        return [key.id for key in self._working_keys(login) if key.is_native]

    def _working_keys(self, login: str) -> list[_KeySchema]:
        reply = self._api.send("GET", "api_key", params={"username": login})
        if _KEYS_ARE_OFF in reply.text:
            return []
        keys = self._api.expect(reply, f"reading the API keys of {login}").read_as(_KeysSchema).api_keys
        return [key for key in keys if key.works]

    def _mappings_of(self, login: str) -> list[str]:
        reply = self._api.send("GET", "role_mapping")
        mappings = self._api.expect(reply, "reading the role mappings").read_as(dict[str, _MappingSchema])
        return [name for name, each in mappings.items() if each.enabled and login.casefold() in _named(each.rules)]


def _named(rules: Any) -> set[str]:
    """Return the names that the rules are about, at any depth, without regard to case."""
    return {name.casefold() for name in _usernames(rules)}


def _usernames(rules: Any) -> Iterator[str]:
    if isinstance(rules, list):
        for each in rules:
            yield from _usernames(each)
    elif isinstance(rules, dict):
        for key, value in rules.items():
            if key == _USERNAME:
                yield from (name for name in (value if isinstance(value, list) else [value]) if isinstance(name, str))
            else:
                yield from _usernames(value)

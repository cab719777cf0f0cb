"""Kubernetes namespaces of apps: a team's pattern, and whether the patterns of two teams can give the same name.

A pattern is a text with `{app}` once and `{team}` as often as wanted. `{team}` is the team's id in lower case, with a
hyphen for each run of other characters than letters and digits. Source: Kubernetes, "Object Names and IDs", RFC 1123.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from string import ascii_lowercase, digits

DEFAULT = "{team}-{app}"
MAX_CHARACTERS = 63
APP_CHARACTERS = range(3, 33)  # an app's name: letters, digits and single hyphens, a letter first, no hyphen last
SAMPLE_APP = "any-app"
_PREFIX = re.compile(r"|[a-z0-9][a-z0-9-]*")
_SUFFIX = re.compile(r"|[a-z0-9-]*[a-z0-9]")
_LETTERS, _FREE = frozenset(ascii_lowercase), frozenset(ascii_lowercase + digits)


@dataclass(frozen=True, kw_only=True)
class NamespacePattern:
    """What comes before and behind the app's name in the names of a team's namespaces."""

    prefix: str
    suffix: str

    def namespace_of(self, app: str) -> str:
        return f"{self.prefix}{app}{self.suffix}"

    @property
    def glob(self) -> str:
        """All namespaces of the team, as a project of Argo CD lists them: `dev-*`."""
        return self.namespace_of("*")

    @property
    def app_characters(self) -> int:
        """The length that an app's name may have."""
        return min(APP_CHARACTERS[-1], MAX_CHARACTERS - len(self.prefix) - len(self.suffix))


def pattern_of(text: str, team: str) -> NamespacePattern:
    """Return the team's pattern. Raises ValueError, which says what to write instead."""
    if text.count("{app}") != 1:
        raise ValueError("must contain {app} once: every app has a namespace of its own")
    prefix, _, suffix = text.replace("{team}", _label(team)).partition("{app}")
    if not (_PREFIX.fullmatch(prefix) and _SUFFIX.fullmatch(suffix)):
        raise ValueError(
            f"gives names such as {prefix}{SAMPLE_APP}{suffix}, which no namespace can have: use lower-case letters, "
            "digits, hyphens, {team} and {app}"
        )
    pattern = NamespacePattern(prefix=prefix, suffix=suffix)
    if pattern.app_characters < APP_CHARACTERS[0]:
        raise ValueError(f"leaves no room for an app's name: a namespace has at most {MAX_CHARACTERS} characters")
    return pattern


def find_shared(one: NamespacePattern, other: NamespacePattern) -> str | None:
    """Return a namespace that both patterns can give, None when there is none.

    For a given length, both patterns say of each place which characters it may hold. The only further rule is local: no
    two hyphens side by side in an app's name. So one pass over the places decides, which keeps for each class of last
    character (a hyphen, or anything else) the beginning of a name that both can give.
    """
    for length in range(APP_CHARACTERS[0], MAX_CHARACTERS + 1):
        places, other_places = _places(one, length), _places(other, length)
        if places and other_places and (shared := _shared_name(places, other_places)):
            return shared
    return None


@dataclass(frozen=True)
class _Place:
    """One character of a namespace. `follows_name`: it and the one before belong to the app's name."""

    characters: frozenset[str]
    follows_name: bool = False


def _places(pattern: NamespacePattern, length: int) -> list[_Place]:
    """Return what a namespace of this length may hold at each place; nothing when the pattern gives none."""
    size = length - len(pattern.prefix) - len(pattern.suffix)
    if size not in APP_CHARACTERS:
        return []
    inner = [_Place(_FREE | {"-"}, follows_name=True)] * (size - 2)
    name = [_Place(_LETTERS), *inner, _Place(_FREE, follows_name=True)]
    return [*map(_literal, pattern.prefix), *name, *map(_literal, pattern.suffix)]


def _literal(character: str) -> _Place:
    return _Place(frozenset(character))


def _shared_name(one: list[_Place], other: list[_Place]) -> str | None:
    begun = {False: ""}  # by whether it ends with a hyphen
    for place, other_place in zip(one, other, strict=True):
        allowed = place.characters & other_place.characters
        next_begun: dict[bool, str] = {}
        if (plain := min(allowed - {"-"}, key=lambda each: (each in digits, each), default=None)) is not None:
            next_begun[False] = next(iter(begun.values())) + plain
        is_single = place.follows_name or other_place.follows_name
        if "-" in allowed and (before := begun.get(False) if is_single else next(iter(begun.values()))) is not None:
            next_begun[True] = before + "-"
        if not next_begun:
            return None
        begun = next_begun
    return next(iter(begun.values()))


def _label(team: str) -> str:
    return re.sub("[^a-z0-9]+", "-", team.lower()).strip("-")

"""Match repositories and places on clusters with what a project of Argo CD allows.

Its patterns are globs: `*` and `?` stop at a separator, `**` does not, a leading `!` denies whatever else is allowed.
Source: argo-cd `app_project_types.go` (`IsSourcePermitted`, `IsDestinationPermitted`), gobwas/glob.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

LONGEST, DEEPEST = 512, 8  # characters of a pattern, groups within groups
_TOKEN = re.compile(r"\*\*|\[!?[^\]]{1,64}\]|\\.|.", re.DOTALL)
_RANGE = re.compile(r"([^-])-([^-])")
_Sequence = list[Any]  # of tokens, and of groups: lists of sequences


def allows_source(patterns: Iterable[str], url: str) -> bool:
    """Say whether a project that lists these source repositories allows `url`."""
    return _allows([(_normalised(pattern), _normalised(url)) for pattern in patterns], separator="/")


def allows_destination(rows: Iterable[Mapping[str, Any]], *, name: str, server: str, namespace: str) -> bool:
    """Say whether a project that lists these destinations allows the namespace on the cluster.

    A row names the cluster by its name or by its server; `server` is "" when it is not known.
    """
    place = {"name": name, "server": server, "namespace": namespace}
    known = [{key: str(row.get(key) or "") for key in place if place[key]} for row in rows]
    if any(
        pattern.startswith("!") and not _matches(pattern, place[key]) for row in known for key, pattern in row.items()
    ):
        return False
    return any(
        any(place[key] and _matches(row.get(key, ""), place[key]) for key in ("name", "server"))
        and _matches(row["namespace"], namespace)
        for row in known
    )


def allows_kind(rows: Iterable[Mapping[str, Any]], *, group: str, kind: str, name: str) -> bool:
    """Say whether a list of kinds has this object; a row without a name stands for every name."""
    return any(
        _matches(str(row.get("group") or ""), group)
        and _matches(str(row.get("kind") or ""), kind)
        and _matches(str(row.get("name") or "*"), name)
        for row in rows
    )


def is_allowed_name(patterns: Iterable[str], name: str) -> bool:
    """Say whether one of the patterns allows the name of a namespace."""
    return any(_matches(pattern, name) for pattern in patterns)


def _allows(pairs: list[tuple[str, str]], *, separator: str) -> bool:
    denied = any(pattern.startswith("!") and _matches(pattern[1:], value, separator) for pattern, value in pairs)
    return not denied and any(_matches(pattern, value, separator) for pattern, value in pairs)


def _matches(pattern: str, value: str, separator: str = "") -> bool:
    """Match the whole value. The ends of all ways are followed together, so the time does not depend on their number.

    A pattern that is longer than any real one, or that Argo CD could not read, matches nothing.
    """
    denials = len(pattern) - len(pattern.lstrip("!"))
    pattern = pattern[denials:]
    is_match = pattern == "*" or _is_whole(pattern, value, separator)
    return is_match if denials % 2 == 0 else not is_match


def _is_whole(pattern: str, value: str, separator: str) -> bool:
    if len(pattern) > LONGEST:
        return False
    try:
        (sequence,) = _parsed(deque(_TOKEN.findall(pattern)), depth=0)
    except ValueError:
        return False
    return len(value) in _ends(sequence, value, {0}, separator)


def _parsed(tokens: deque[str], *, depth: int) -> list[_Sequence]:
    """Take the tokens up to the end of this group, and return its alternatives. Raises ValueError: not closed."""
    if depth > DEEPEST:
        raise ValueError("groups within groups")
    alternatives: list[_Sequence] = [[]]
    while tokens:
        part = tokens.popleft()
        if part == "{":
            alternatives[-1].append(_parsed(tokens, depth=depth + 1))
        elif part == "}" and depth:
            return alternatives
        elif part == "," and depth:
            alternatives.append([])
        else:
            alternatives[-1].append(part)
    if depth:
        raise ValueError("a group that is not closed")
    return alternatives


def _ends(sequence: _Sequence, value: str, starts: set[int], separator: str) -> set[int]:
    """Return where a match of the sequence can end that begins at one of `starts`."""
    for part in sequence:
        if isinstance(part, list):
            starts = {end for each in part for end in _ends(each, value, starts, separator)}
        elif part in ("*", "**"):
            starts = _stretched(value, starts, "" if part == "**" else separator)
        else:
            starts = {at + 1 for at in starts if at < len(value) and _is_one(part, value[at], separator)}
    return starts


def _stretched(value: str, starts: set[int], separator: str) -> set[int]:
    ends, is_open = set(starts), False
    for at, char in enumerate(value):
        is_open = (is_open or at in starts) and char != separator
        if is_open:
            ends.add(at + 1)
    return ends


def _is_one(part: str, char: str, separator: str) -> bool:
    if part == "?":
        return char != separator
    if len(part) > 2:  # a class of characters
        inner = part[1:-1].removeprefix("!")
        return _is_in_class(inner, char) is not part.startswith("[!")
    return char == part[-1]  # without the backslash before it


def _is_in_class(inner: str, char: str) -> bool:
    if len(inner) == 3 and inner[1] == "-":
        return inner[0] <= char <= inner[2]
    ranges = _RANGE.findall(inner)
    return any(low <= char <= high for low, high in ranges) or char in _RANGE.sub("", inner)


def _normalised(url: str) -> str:
    """Return a URL's identity as Argo CD sees it (`NormalizeGitURL`); of a pattern, too."""
    return url.strip().lower().removesuffix(".git")

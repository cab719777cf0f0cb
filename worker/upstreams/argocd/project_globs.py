"""Match repositories and places on clusters with what a project of Argo CD allows.

Its patterns are globs: `*` and `?` stop at a separator, `**` does not, a leading `!` denies whatever else is allowed.
Source: argo-cd `app_project_types.go` (`IsSourcePermitted`, `IsDestinationPermitted`), gobwas/glob.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

_TOKEN = re.compile(r"\*\*|\[!?[^\]]+\]|\\.|.", re.DOTALL)


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
    if pattern.startswith("!"):
        return not _matches(pattern[1:], value, separator)
    return pattern == "*" or re.fullmatch(_expression(pattern, separator), value, re.DOTALL) is not None


def _expression(pattern: str, separator: str) -> str:
    one = f"[^{re.escape(separator)}]" if separator else "."
    known = {"**": ".*", "*": f"{one}*", "?": one, "{": "(?:", "}": ")"}
    depth, parts = 0, []
    for part in _TOKEN.findall(pattern):
        depth += (part == "{") - (part == "}")
        if part in known:
            parts.append(known[part])
        elif part == "," and depth > 0:
            parts.append("|")
        elif len(part) > 2:  # a class of characters
            parts.append(part.replace("[!", "[^", 1))
        else:
            parts.append(re.escape(part.removeprefix("\\")))
    return "".join(parts)


def _normalised(url: str) -> str:
    """Return a URL's identity as Argo CD sees it (`NormalizeGitURL`); of a pattern, too."""
    return url.strip().lower().removesuffix(".git")

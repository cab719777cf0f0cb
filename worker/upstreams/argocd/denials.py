"""Denied calls of Argo CD, with what is needed to find out what a denial means: `standing` asks.

Argo CD answers 403 without a word when a right is missing, when an application is not there for us, and also while it
cannot reach its own Kubernetes API: an API server that restarts looks like a missing right. Of what is new it says so:
there it is a 500 with the failed call in its text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from common.errors import Refused
from worker.upstreams.replies import Reply

BARE = "permission denied"
_NAMED = re.compile(r"permission denied: (?P<resource>[a-z]+), (?P<action>[a-z]+), (?P<thing>[^\n]+)")


@dataclass(frozen=True)
class Right:
    """A right as `can-i` asks for it; `thing` is the object's name, in the parts of a path."""

    resource: str
    action: str
    thing: tuple[str, ...]

    def __str__(self) -> str:
        return f"the right to {self.action} {self.resource} ({'/'.join(self.thing)})"


class Denied(Refused):
    """A denied call, with what finds out why.

    `rights` are what it needs. `place`: where a look for another application shows whether Argo CD looks at all;
    without one, the denial of a call that the rights permit is Argo CD's own trouble.
    """

    rights: tuple[Right, ...] = ()
    place: Mapping[str, str] | None = None


def denied(
    reply: Reply, reason: str, *, says: str, rights: tuple[Right, ...] = (), place: Mapping[str, str] | None = None
) -> Denied:
    """Return the error for a denied call; `says` is Argo CD's own text."""
    error = Denied(
        reason,
        upstream=reply.upstream,
        status=reply.status,
        method=reply.method,
        path=reply.path,
        says=says,
        headers=reply.headers,
    )
    error.rights, error.place = rights, place
    return error


def rights_in(text: str) -> tuple[Right, ...]:
    """Return the right that a denial names; a denial without a word names none."""
    match = _NAMED.match(text)
    if match is None:
        return ()
    name = match["thing"].partition(", sub: ")[0]
    thing = name.split("/") if match["resource"] == "applications" else [name]
    return (Right(match["resource"], match["action"], tuple(thing)),)

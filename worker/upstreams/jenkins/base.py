"""How does a call reach Jenkins, and what do the clients' parts share about its answers?"""

from __future__ import annotations

from typing import Self

from common.errors import ActionBy, Permanent, Transient
from worker.upstreams.http import Deadline, Http, Reply
from worker.upstreams.jenkins.errors import refusal


class Edge:
    """Our account on one Jenkins. Needs Overall/Administer for users and roles."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def within(self, deadline: Deadline) -> Self:
        """Return a copy whose calls all end by `deadline`."""
        return type(self)(self._http.within(deadline))

    def reading(self) -> Self:
        """Return a copy that cannot write: it raises WouldWrite instead."""
        return type(self)(self._http.reading())

    def _expect(self, reply: Reply, doing: str) -> Reply:
        if reply.status != 200:
            raise refusal(self._http, reply, doing)
        return reply

    def _unseen(self, what: str) -> Transient:
        return Transient(f"Jenkins accepted {what} but does not show it yet", upstream=self._http.name)

    def _still_there(self, what: str) -> Transient:
        return Transient(f"Jenkins accepted to remove {what} but still shows it", upstream=self._http.name)

    def _permanent(self, reason: str, action_by: ActionBy = ActionBy.OPERATOR) -> Permanent:
        return Permanent(reason, action_by=action_by, upstream=self._http.name)


def job_path(*names: str) -> tuple[str, ...]:
    """Return the path segments of an item: every level, also of a nested folder, is a `job` of its own."""
    return tuple(part for name in names for level in name.split("/") for part in ("job", level))

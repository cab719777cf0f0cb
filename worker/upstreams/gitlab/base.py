"""How does a call reach GitLab's API, and what do its refusals mean?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from common.errors import StepError, Transient
from worker.upstreams.http import Deadline, Http, Reply, unexpected


class Edge:
    """REST API v4. `http` carries an administrator's `PRIVATE-TOKEN` with the scope `api`."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def within(self, deadline: Deadline) -> Self:
        return type(self)(self._http.within(deadline))

    def reading(self) -> Self:
        """Return a copy that cannot write: it raises WouldWrite instead."""
        return type(self)(self._http.reading())

    def _send(
        self,
        method: str,
        *segments: str,
        params: Mapping[str, str | int] | None = None,
        json: Mapping[str, Any] | None = None,
    ) -> Reply:
        return self._http.send(method, "api", "v4", *segments, params=params, json=json)

    def _failed(self, reply: Reply, doing: str, *secrets: str) -> StepError:
        """Say what an answer means that our question did not allow for."""
        if is_locked(reply):
            return Transient(f"GitLab holds a lock while {doing}", retry_after_s=1.0, upstream=self._http.name)
        return unexpected(self._http, reply, doing, secrets=secrets)


def is_locked(reply: Reply) -> bool:
    """Tell the one 409 that says nothing about existence. Its text is a literal: it is never translated."""
    return reply.status == 409 and "Resource lock" in reply.text

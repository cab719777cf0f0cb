"""How do we look at Argo CD, and tell what is ours?"""

from __future__ import annotations

from typing import Any, Self

from common.errors import ActionBy, Conflict, NotYet, Permanent
from worker.upstreams.argocd.errors import is_not_found, refusal
from worker.upstreams.argocd.manifest import Spec, holds, is_same_repository
from worker.upstreams.argocd.schemas import Object, Registrations
from worker.upstreams.http import Deadline, Http, Reply

MARKER = "slipway.dev/marker"
SLOW_S = 90.0
DELETION_POLL_S = 2.0
REPOSITORIES = ("api", "v1", "repositories")
APPLICATIONS = ("api", "v1", "applications")


class Edge:
    """Our account on one Argo CD. `http` carries `argocd_headers` and `LIMITS`."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def within(self, deadline: Deadline) -> Self:
        """Return a copy whose calls all end by `deadline`."""
        return type(self)(self._http.within(deadline))

    def reading(self) -> Self:
        """Return a copy that cannot write: it raises WouldWrite instead."""
        return type(self)(self._http.reading())

    # -- repositories ---------------------------------------------------------------------------------------

    def _registered(self, url: str, project: str | None) -> str | None:
        """Return the spelling under which Argo CD has a repository, None when it has not.

        Look in the list: a URL as a path segment is taken apart by proxies, and absent is a 403 there.
        """
        reply = self._http.send("GET", *REPOSITORIES, total_s=SLOW_S)  # it may test every connection first
        items = self._expect(reply, "listing the repositories").read_as(Registrations).items or []
        spellings = (item.repo for item in items if (item.project or "") == (project or ""))
        return next((each for each in spellings if is_same_repository(each, url)), None)

    # -- applications ---------------------------------------------------------------------------------------

    def _find(self, name: str, project: str) -> Object | None:
        reply = self._http.send("GET", *APPLICATIONS, name, params={"project": project})
        if is_not_found(reply):
            return None
        return self._expect(reply, f"reading the application {name}").read_as(Object)

    def _own(self, name: str, project: str, marker: str) -> Object:
        """Return the application. Raises Permanent when it is absent, Conflict when it is not ours."""
        actual = self._find(name, project)
        if actual is None:
            reason = f"the application {name} does not exist on Argo CD"
            raise Permanent(reason, action_by=ActionBy.USER, upstream=self._http.name)
        self._require_marked(name, actual, marker)
        return actual

    def _require_marked(self, name: str, actual: Object, marker: str) -> None:
        if (actual.metadata.annotations or {}).get(MARKER) != marker:
            raise self._taken(f"the application {name} exists on Argo CD and was not made for this app")

    def _require_kept(self, name: str, actual: Object) -> None:
        if actual.metadata.deletionTimestamp:
            reason = f"an application {name} is still being deleted"
            raise NotYet(reason, retry_after_s=DELETION_POLL_S, upstream=self._http.name)

    def _replace_spec(self, name: str, spec: Spec) -> None:
        reply = self._http.send(
            "PUT",
            *APPLICATIONS,
            name,
            "spec",
            params={"project": spec["project"], "validate": "true"},
            json=spec,
            total_s=SLOW_S,
        )
        kept = self._expect(reply, f"updating the application {name}").read_as(dict[str, Any])
        if not holds(kept, spec):
            reason = f"Argo CD did not keep all of the application {name}"
            raise Permanent(reason, action_by=ActionBy.OPERATOR, upstream=self._http.name)

    def _taken(self, reason: str) -> Conflict:
        choices = ("choose another app name", "ask an operator to delete that application")
        return Conflict(reason, choices=choices, upstream=self._http.name)

    def _expect(self, reply: Reply, doing: str) -> Reply:
        if reply.status != 200:
            raise refusal(self._http, reply, doing)
        return reply

"""What a 403 without a word means about an application.

Argo CD answers so when a right is missing, when the application is not there for us, and also while it cannot reach its
own Kubernetes API: an API server that restarts looks like a missing right.

    can-i says no                                              a right is missing
    a name that cannot exist, in the same project: 404         this application is the trouble
    the same: 403 again                                        Argo CD cannot look: an outage
"""

from __future__ import annotations

from dataclasses import dataclass

from common.errors import ActionBy, StepError, Transient
from worker.upstreams.argocd.errors import is_bare_denial, is_not_found
from worker.upstreams.base import Api
from worker.upstreams.http import Reply

NO_SUCH_NAME = "slipway-no-such-application-"  # ends in a hyphen: Kubernetes accepts no such name


@dataclass(frozen=True, kw_only=True)
class _Answer:
    value: str = ""


class Visibility:
    """Finds out what a bare 403 means. `namespace` is that of the applications, None for Argo CD's own."""

    def __init__(self, api: Api, namespace: str | None = None) -> None:
        self._api = api
        self._namespace = namespace

    def failed(self, reply: Reply, doing: str, *, name: str, project: str, right: str = "get") -> StepError:
        """Return the error for a reply about an application that was not expected; asks when it is a bare 403."""
        if not is_bare_denial(reply):
            return self._api.failed(reply, doing)
        place = (project, self._namespace, name) if self._namespace else (project, name)
        lacking = [each for each in dict.fromkeys(("get", right)) if not self.may("applications", each, *place)]
        if lacking:
            reason = f"Our token may not {' and '.join(lacking)} applications in the project {project} (while {doing})"
            return self._api.permanent(reason, ActionBy.OPERATOR)
        params = {"project": project} | ({"appNamespace": self._namespace} if self._namespace else {})
        probe = self._api.send("GET", "applications", NO_SUCH_NAME, params=params)
        if is_bare_denial(probe):
            return self.outage(doing)
        return self._api.failed(reply if is_not_found(probe) else probe, doing)

    def may(self, resource: str, right: str, *thing: str) -> bool:
        """Say whether our token has a right. Raises what `Api.expect` does."""
        reply = self._api.send("GET", "account", "can-i", resource, right, *thing)
        return self._api.expect(reply, "reading our rights").read_as(_Answer).value == "yes"

    def outage(self, doing: str) -> Transient:
        """Return the error for an Argo CD that cannot read its own objects."""
        reason = f"Argo CD cannot reach its Kubernetes API while {doing}: it denies what our token may do"
        return Transient(reason, upstream=self._api.name, is_unavailable=True)

"""How do we take repositories and applications out of Argo CD, and nothing of anybody else's?"""

from __future__ import annotations

from common.errors import NotYet
from worker.upstreams.argocd.base import APPLICATIONS, DELETION_POLL_S, REPOSITORIES, SLOW_S, Edge
from worker.upstreams.argocd.errors import refusal
from worker.upstreams.argocd.schemas import Object
from worker.upstreams.error_text import cleaned


class Removals(Edge):
    def remove_application(self, name: str, *, project: str, marker: str) -> bool:
        """Delete the application with everything that it runs on the cluster, and return True once it is gone.

        Its namespace stays: Argo CD does not track what `CreateNamespace` made. Safe to repeat: what is absent or
        being deleted is not asked for again. Raises NotYet until it is gone, with what keeps it, and Conflict when it
        is not marked with `marker`.
        Source: `server/application Delete`.
        """
        actual = self._find(name, project)
        if actual is None:
            return True
        self._require_marked(name, actual, marker)
        if not actual.metadata.deletionTimestamp:
            self._delete(name, project)
            actual = self._find(name, project)
        if actual is None:
            return True
        raise NotYet(_still_there(name, actual), retry_after_s=DELETION_POLL_S, upstream=self._http.name)

    def _delete(self, name: str, project: str) -> None:
        reply = self._http.send(
            "DELETE",
            *APPLICATIONS,
            name,
            params={"project": project, "cascade": "true", "propagationPolicy": "foreground"},
        )
        if reply.status not in (200, 404):  # whether it is gone, the next look tells
            raise refusal(self._http, reply, f"deleting the application {name}")

    def remove_repository(self, url: str, *, project: str | None = None) -> bool:
        """Take `url` out of the repositories of `project` and return True; what is in git stays.

        Safe to repeat: what is not listed is done. A repository bears no mark: whether it is ours to remove, the
        caller knows. Raises Transient or Permanent when it is still listed after Argo CD refused, NotYet when it did
        not refuse.
        Source: `server/repository DeleteRepository`.
        """
        spelling = self._registered(url, project)
        if spelling is None:
            return True
        reply = self._http.send(
            "DELETE", *REPOSITORIES, spelling, params={"appProject": project} if project else None, total_s=SLOW_S
        )
        if self._registered(url, project) is None:
            return True
        if reply.status == 200:
            reason = f"Argo CD still lists {url}"
            raise NotYet(reason, retry_after_s=DELETION_POLL_S, upstream=self._http.name)
        raise refusal(self._http, reply, f"removing {url}")


def _still_there(name: str, actual: Object) -> str:
    """Say what Argo CD says: a cluster out of reach keeps an application for ever."""
    reason = f"the application {name} is still being deleted"
    told = (cleaned(each.message) for each in actual.status.conditions or () if each.type == "DeletionError")
    return ": ".join((reason, *told))

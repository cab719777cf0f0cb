"""How do we deploy with Argo CD: set the version, start a sync, see what became of it, stop it?

Only the start of a sync answers at once. What it is remembered by is our operation's id, which we note on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from common.errors import ActionBy, NotYet, Permanent
from worker.upstreams.argocd.base import APPLICATIONS, SLOW_S, Edge
from worker.upstreams.argocd.errors import BUSY_POLL_S, is_idle, is_not_found, refusal
from worker.upstreams.argocd.manifest import holds, with_parameters
from worker.upstreams.argocd.sync_status import OPERATION_ID, SyncStatus, is_ours, read_status

__all__ = ["SyncStatus", "Syncs"]


class Syncs(Edge):
    def set_helm_parameters(
        self, name: str, *, project: str, marker: str, parameters: Mapping[str, str], revision: str | None = None
    ) -> bool:
        """Set these helm parameters, and the revision that is followed when one is given; say whether it was needed.

        Everything else of the application stays as it is, and nothing is deployed by it. Safe to repeat: what is equal
        is not written. Raises Conflict when the application is not marked with `marker`, Permanent when it is absent
        or Argo CD finds the result invalid, NotYet while it is being deleted.
        Source: `server/application UpdateSpec`.
        """
        actual = self._own(name, project, marker)
        self._require_kept(name, actual)
        wanted = with_parameters(actual.spec, parameters, revision)
        if holds(actual.spec, wanted):
            return False
        self._replace_spec(name, wanted)
        return True

    def start_sync(
        self,
        name: str,
        *,
        project: str,
        marker: str,
        operation_id: str,
        revision: str | None = None,
        on_create: Callable[[], None],
    ) -> None:
        """Start a sync that carries `operation_id`. `on_create` runs just before the request.

        `revision` is for this run only: the application still follows its own, and is OutOfSync when they differ.
        Safe to repeat: when the operation under way or last ended carries the id, nothing is written. Raises NotYet
        while another operation runs or a sync window is closed, Conflict when the application is not marked with
        `marker`, Permanent when it is absent or being deleted, or git does not know the revision.
        Source: `server/application Sync`.
        """
        actual = self._own(name, project, marker)
        if is_ours(actual, operation_id):
            return
        if actual.metadata.deletionTimestamp:
            reason = f"the application {name} is being deleted on Argo CD"
            raise Permanent(reason, action_by=ActionBy.USER, upstream=self._http.name)
        if actual.operation is not None:
            raise NotYet("another sync is running", retry_after_s=BUSY_POLL_S, upstream=self._http.name)
        on_create()
        body = {
            "name": name,
            "project": project,
            "prune": True,
            "strategy": {"hook": {}},
            "infos": [{"name": OPERATION_ID, "value": operation_id}],
        }
        asked = {"revision": revision} if revision else {}
        reply = self._http.send("POST", *APPLICATIONS, name, "sync", json=body | asked, total_s=SLOW_S)
        self._expect(reply, f"starting a sync of {name}")

    def get_sync(self, name: str, *, project: str, operation_id: str) -> SyncStatus:
        """Return what became of the sync that carries `operation_id`; `absent` also when the application is.

        Source: the wait of Argo CD's own command line, `checkAppWaitConditions`.
        """
        actual = self._find(name, project)
        if actual is None:
            return SyncStatus(phase="absent", message=f"the application {name} does not exist on Argo CD")
        return read_status(actual, operation_id)

    def terminate(self, name: str, *, project: str, operation_id: str | None = None) -> None:
        """Ask for the end of the operation under way, of the one that carries `operation_id` only when it is given.

        Safe to repeat: nothing running is done. It ends a little later; until then no other sync can start.
        Source: `server/application TerminateOperation`.
        """
        if (
            operation_id is not None
            and self.get_sync(name, project=project, operation_id=operation_id).phase != "running"
        ):
            return
        reply = self._http.send("DELETE", *APPLICATIONS, name, "operation", params={"project": project})
        if not (reply.status == 200 or is_idle(reply) or is_not_found(reply)):
            raise refusal(self._http, reply, f"stopping the sync of {name}")

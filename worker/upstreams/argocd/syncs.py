"""Syncs of Argo CD: started, followed, stopped.

Only the start of a sync is answered at once. Its identity is our operation's id, which travels with it.
"""

from __future__ import annotations

from collections.abc import Callable

from common.errors import ActionBy
from worker.upstreams.argocd.applications import SLOW_S, Applications
from worker.upstreams.argocd.errors import BUSY_POLL_S, is_idle, is_not_found
from worker.upstreams.argocd.sync_status import OPERATION_ID, SyncStatus, is_ours, read_status
from worker.upstreams.base import Api

__all__ = ["SyncStatus", "Syncs"]


class Syncs:
    """The syncs of one Argo CD's applications."""

    def __init__(self, api: Api, applications: Applications) -> None:
        self._api = api
        self._applications = applications

    def start(
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
        actual = self._applications.get_ours(name, project, marker)
        if is_ours(actual, operation_id):
            return
        if actual.metadata.deletionTimestamp:
            reason = f"the application {name} is being deleted on Argo CD"
            raise self._api.permanent(reason, ActionBy.USER)
        if actual.operation is not None:
            raise self._api.not_yet("another sync is running", retry_after_s=BUSY_POLL_S)
        on_create()
        body = {
            "name": name,
            "project": project,
            "prune": True,
            "strategy": {"hook": {}},
            "infos": [{"name": OPERATION_ID, "value": operation_id}],
        }
        chosen = {"revision": revision} if revision else {}
        reply = self._api.send("POST", "applications", name, "sync", json=body | chosen, total_s=SLOW_S)
        self._api.expect(reply, f"starting a sync of {name}")

    def get(self, name: str, *, project: str, operation_id: str) -> SyncStatus:
        """Return the state of the sync that carries `operation_id`; `absent` also when the application is.

        Source: the wait of Argo CD's own command line, `checkAppWaitConditions`.
        """
        actual = self._applications.find(name, project)
        if actual is None:
            return SyncStatus(phase="absent", message=f"the application {name} does not exist on Argo CD")
        return read_status(actual, operation_id)

    def terminate(self, name: str, *, project: str, operation_id: str | None = None) -> None:
        """Stop the operation under way; with `operation_id`, only the one that carries it.

        Safe to repeat: nothing running is done. It ends a little later; until then no other sync can start.
        Source: `server/application TerminateOperation`.
        """
        if operation_id is not None and self.get(name, project=project, operation_id=operation_id).phase != "running":
            return
        reply = self._api.send("DELETE", "applications", name, "operation", params={"project": project})
        if not (reply.status == 200 or is_idle(reply) or is_not_found(reply)):
            raise self._api.failed(reply, f"stopping the sync of {name}")

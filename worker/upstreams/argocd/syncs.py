"""Syncs of Argo CD: started, followed, stopped.

Only the start of a sync is answered at once. Its identity is our operation's id, which travels with it.
"""

from __future__ import annotations

from collections.abc import Callable

from common.errors import ActionBy, Transient
from worker.upstreams.argocd import ownership
from worker.upstreams.argocd.applications import SLOW_S, Applications
from worker.upstreams.argocd.causes import read_failure
from worker.upstreams.argocd.errors import BUSY_POLL_S, error_of, is_idle, is_not_found
from worker.upstreams.argocd.schemas import Object
from worker.upstreams.argocd.sync_status import OPERATION_ID, SyncStatus, is_ours, read_status
from worker.upstreams.base import Api

__all__ = ["SyncStatus", "Syncs"]

COMPARISON_POLL_S = 2.0


def _ignore() -> None:
    """Do nothing: nobody asked for it."""


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
        on_refuse: Callable[[], None] = _ignore,
    ) -> None:
        """Start a sync that carries `operation_id`. `on_create` runs just before the request.

        `on_refuse` runs when it is certain that the request started nothing.

        Until a sync has applied something, one that would change what is on the cluster and not its own is refused.
        Argo CD compares the cluster with the revision that the application follows, so the first deployment is of it.

        `revision` is for this run only: the application still follows its own, and is OutOfSync when they differ.
        Safe to repeat: when the operation under way or last ended carries the id, nothing is written. Raises NotYet
        while another operation runs or a sync window is closed, or before Argo CD has compared a new application;
        Conflict when the application is not marked with `marker`, or an object of its chart is somebody else's;
        Permanent when it is absent or being deleted, git does not know the revision, or it is another one than the
        application's own and nothing has been deployed yet.
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
        compared = actual if actual.has_applied else self._require_unowned(name, project)
        if revision is not None and not actual.status.history:
            self._require_own(revision, compared)
        on_create()
        self._post(name, project, operation_id, revision, on_refuse)

    def start_again(
        self,
        name: str,
        *,
        project: str,
        marker: str,
        operation_id: str,
        revision: str | None = None,
    ) -> None:
        """Start the sync again that carries `operation_id` and that Argo CD ended with an error.

        Safe to repeat: while it runs, or when it ended otherwise, nothing is written. Raises as `start` does.
        """
        actual = self._applications.get_ours(name, project, marker)
        if read_status(actual, operation_id).phase == "errored":
            self._post(name, project, operation_id, revision)

    def _post(
        self,
        name: str,
        project: str,
        operation_id: str,
        revision: str | None,
        on_refuse: Callable[[], None] = _ignore,
    ) -> None:
        body = {
            "name": name,
            **self._applications.within(project),
            "prune": True,
            "strategy": {"hook": {}},
            "infos": [{"name": OPERATION_ID, "value": operation_id}],
        }
        chosen = {"revision": revision} if revision else {}
        try:
            reply = self._api.send("POST", "applications", name, "sync", json=body | chosen, total_s=SLOW_S)
        except Transient as error:
            if error.is_unsent:
                on_refuse()
            raise
        if reply.status != 200:
            if reply.status < 500:  # above, a proxy may speak for an Argo CD that has begun
                on_refuse()
            doing = f"starting a sync of {name}"
            raise self._applications.failed(reply, doing, name=name, project=project, right="sync")

    def _require_own(self, revision: str, app: Object) -> None:
        """Check that a revision is the one that was compared with the cluster; of any other nobody has looked.

        Argo CD renders every revision, but shows of the cluster only what the objects of its comparison have there.
        """
        followed = str((app.spec.get("source") or {}).get("targetRevision", "HEAD"))
        if revision not in (followed, app.status.sync.revision):
            raise self._api.permanent(
                f"the first deployment cannot be of {revision}: Argo CD has compared the cluster only with {followed}, "
                "which the application follows. Deploy once without a revision, then this one",
                ActionBy.USER,
            )

    def _require_unowned(self, name: str, project: str) -> Object:
        """Compare the chart with the cluster before anything is applied. Raises Conflict for what is not ours."""
        compared = self._require_compared(name, self._applications.find(name, project, is_refreshed=True))
        theirs = self._applications.foreign_objects(compared, project)
        if theirs:
            what = ownership.listed(theirs)
            raise self._api.conflict(
                f"the cluster has {what} already, not made for this app: a sync would change it",
                "choose another app name, or other names in the chart",
                "ask an operator to remove it, if nobody needs it",
            )
        return compared

    def _require_compared(self, name: str, app: Object | None) -> Object:
        """Return it when Argo CD shows what is live. Raises NotYet until it has compared, and for why it cannot."""
        if app is not None and app.is_compared:
            return app
        doing = f"comparing the application {name} with the cluster"
        conditions = (app.status.conditions if app else None) or ()
        for text in (each.message for each in conditions if each.type.endswith("Error")):
            if (error := error_of(read_failure(text), doing)) is not None:
                error.upstream = self._api.name
                raise error
        reason = f"Argo CD has not finished {doing}"
        raise self._api.not_yet(reason, retry_after_s=COMPARISON_POLL_S)

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
        reply = self._api.send("DELETE", "applications", name, "operation", params=self._applications.within(project))
        if not (reply.status == 200 or is_idle(reply) or is_not_found(reply)):
            doing = f"stopping the sync of {name}"
            raise self._applications.failed(reply, doing, name=name, project=project, right="sync")

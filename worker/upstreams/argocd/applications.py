"""Applications of Argo CD: created, corrected, removed.

A missing application is a 403 unless its project is named, and Argo CD silently drops fields that it does not know. So
reads name the project, and every write is compared with what is there afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from common.errors import ActionBy, Conflict, StepError
from worker.upstreams.argocd import ownership
from worker.upstreams.argocd.causes import read_failure
from worker.upstreams.argocd.denials import Denied, Right
from worker.upstreams.argocd.errors import error_of, is_different_spec, is_not_found
from worker.upstreams.argocd.manifest import Spec, application, chart, corrected, holds, with_parameters
from worker.upstreams.argocd.schemas import ManagedResources, Object, Objects
from worker.upstreams.base import Api
from worker.upstreams.error_text import cleaned
from worker.upstreams.replies import Reply

MARKER = "slipway.dev/marker"
SLOW_S = 90.0  # Argo CD renders the whole chart before it answers
DELETION_POLL_S = 2.0
_CASCADE = "resources-finalizer.argocd.argoproj.io"
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,51}[a-z0-9])?")


@dataclass(frozen=True, kw_only=True)
class Application:
    """An application. `uid` changes when it is deleted and made again; `found`: it was there before the call."""

    name: str
    uid: str
    found: bool


class Applications:
    """The applications of one Argo CD, in one namespace of Kubernetes; None: in Argo CD's own."""

    def __init__(self, api: Api, namespace: str | None = None) -> None:
        self._api = api
        self._namespace = namespace

    def ensure(
        self,
        name: str,
        *,
        project: str,
        repository_url: str,
        path: str,
        revision: str,
        release_name: str,
        helm_parameters: Mapping[str, str],
        cluster: str,
        namespace: str,
        marker: str,
        on_create: Callable[[], None],
    ) -> Application:
        """Return the application `name` as described, creating or correcting it.

        `on_create` runs just before a creation. `path` is the chart's directory in the repository, `cluster` the
        name of a cluster that Argo CD knows. It syncs on request, never by itself.

        Safe to repeat: an application annotated with `marker` is ours. Raises Conflict when the name is anybody
        else's, in whatever project; NotYet while one of that name is being deleted; Permanent when Argo CD finds the
        description invalid; Transient while it or git cannot be reached.
        Source: `server/application Create`, `UpdateSpec`.
        """
        self._require_label(name)
        source = chart(repository_url, path, revision, release_name, helm_parameters)
        spec = application(project=project, source=source, cluster=cluster, namespace=namespace)
        actual = self.find(name, project)
        found = actual is not None
        if actual is None:
            self._require_free(name, project)
            on_create()
            actual = self._create(name, spec, marker)
        self._require_kept(name, actual)
        self._require_marked(name, actual, marker)
        if not holds(actual.spec, spec):
            self._replace_spec(name, corrected(actual.spec, spec))
        return Application(name=name, uid=actual.metadata.uid, found=found)

    def _require_label(self, name: str) -> None:
        """Check it here: Argo CD checks it last, after up to two minutes of rendering."""
        if not _LABEL.fullmatch(name):
            reason = f"{name!r} cannot be an application's name: 1 to 53 lower-case letters, digits and -"
            raise self._api.permanent(reason, ActionBy.USER)

    def _require_free(self, name: str, project: str) -> None:
        """Search all projects, which share one name space. The list may lag, so our own project is left out."""
        reply = self._api.send("GET", "applications", params={"name": name})
        listed = self._api.expect(reply, "listing the applications").read_as(Objects)
        for item in listed.items or []:
            is_here = self._namespace in (None, item.metadata.namespace)
            if is_here and item.metadata.name == name and item.spec.get("project") != project:
                raise self._taken(f"the application {name} exists on Argo CD in another project")

    def _create(self, name: str, spec: Spec, marker: str) -> Object:
        """Create it and return what exists now: "different" means that another call created it first."""
        metadata = {
            "name": name,
            "annotations": {MARKER: marker},
            "labels": {"app.kubernetes.io/managed-by": "slipway"},
            "finalizers": [_CASCADE],
        } | ({"namespace": self._namespace} if self._namespace else {})
        reply = self._api.send(
            "POST",
            "applications",
            params={"upsert": "false", "validate": "true"},
            json={"metadata": metadata, "spec": spec},
            total_s=SLOW_S,
        )
        if reply.status != 200 and not is_different_spec(reply):
            doing = f"creating the application {name}"
            raise self.failed(reply, doing, name=name, project=spec["project"], right="create")
        actual = self.find(name, spec["project"])
        if actual is not None:
            return actual
        if reply.status == 200:
            reason = f"Argo CD accepted the application {name} but does not show it yet"
            raise self._api.transient(reason)
        raise self._taken(f"the application {name} exists on Argo CD where our account cannot see it")

    def set_helm_parameters(
        self, name: str, *, project: str, marker: str, parameters: Mapping[str, str], revision: str | None = None
    ) -> bool:
        """Set these helm parameters, and the revision that is followed when one is given; say whether it was needed.

        Everything else of the application stays as it is, and nothing is deployed by it. Safe to repeat: what is equal
        is not written. Raises Conflict when the application is not marked with `marker`, Permanent when it is absent
        or Argo CD finds the result invalid, NotYet while it is being deleted.
        Source: `server/application UpdateSpec`.
        """
        actual = self.get_ours(name, project, marker)
        self._require_kept(name, actual)
        wanted = with_parameters(actual.spec, parameters, revision)
        if holds(actual.spec, wanted):
            return False
        self._replace_spec(name, wanted)
        return True

    def remove(self, name: str, *, project: str, marker: str) -> bool:
        """Delete the application with everything that it runs on the cluster, and return True once it is gone.

        When no sync has applied anything, and the cluster has somebody else's objects under the names of its chart or
        Argo CD cannot say so, what is on the cluster stays: before 3.0 it would delete a release of helm of that name.
        Its namespace stays, too: Argo CD does not track what `CreateNamespace` made.

        Safe to repeat: what is absent or being deleted is not requested again. Raises NotYet until it is gone, with
        the reason, and Conflict when it is not marked with `marker`.
        Source: `server/application Delete`.
        """
        actual = self.find(name, project)
        if actual is None:
            return True
        self._require_marked(name, actual, marker)
        if not actual.metadata.deletionTimestamp:
            is_safe = actual.has_applied or (actual.is_compared and not self.foreign_objects(actual, project))
            self._delete(name, project, is_cascade=is_safe)
            actual = self.find(name, project)
        if actual is None:
            return True
        raise self._api.not_yet(_still_there(name, actual), retry_after_s=DELETION_POLL_S)

    def _delete(self, name: str, project: str, *, is_cascade: bool) -> None:
        how = {"cascade": "true", "propagationPolicy": "foreground"} if is_cascade else {"cascade": "false"}
        reply = self._api.send("DELETE", "applications", name, params=self.within(project) | how)
        if reply.status not in (200, 404):  # the next read shows whether it is gone
            doing = f"deleting the application {name}"
            raise self.failed(reply, doing, name=name, project=project, right="delete")

    def find(self, name: str, project: str, *, is_refreshed: bool = False) -> Object | None:
        """Return the application, None when the project has none of this name.

        `is_refreshed`: Argo CD first compares it with git and the cluster, which may take as long as rendering.
        """
        refresh = {"refresh": "normal"} if is_refreshed else {}
        reply = self._api.send(
            "GET",
            "applications",
            name,
            params=self.within(project) | refresh,
            total_s=SLOW_S if is_refreshed else None,
        )
        if is_not_found(reply):
            return None
        return self._expect(reply, f"reading the application {name}", name, project).read_as(Object)

    def foreign_objects(self, app: Object, project: str) -> list[str]:
        """Return which objects the cluster has under the names of an application's chart that are not its own.

        No sync of `app` has applied anything, and it has been compared with the cluster.
        Source: `server/application ManagedResources`.
        """
        if not ownership.may_be_live(app):
            return []
        name = app.metadata.name
        reply = self._api.send("GET", "applications", name, "managed-resources", params=self.within(project))
        shown = self._expect(reply, f"reading the resources of {name}", name, project).read_as(ManagedResources)
        return ownership.foreign(shown.items or (), application=name, namespace=self._namespace)

    def within(self, project: str) -> dict[str, str]:
        """Return where a request looks for an application."""
        return {"project": project} | ({"appNamespace": self._namespace} if self._namespace else {})

    def failed(self, reply: Reply, doing: str, *, name: str, project: str, right: str = "get") -> StepError:
        """Return the error for a reply about an application that was not expected; `right`: what the call needs."""
        error = self._api.failed(reply, doing)
        if isinstance(error, Denied):
            thing = (project, self._namespace, name) if self._namespace else (project, name)
            error.rights = tuple(Right("applications", each, thing) for each in dict.fromkeys(("get", right)))
            error.place = self.within(project)
        return error

    def _expect(self, reply: Reply, doing: str, name: str, project: str) -> Reply:
        if reply.status != 200:
            raise self.failed(reply, doing, name=name, project=project)
        return reply

    def comparison_error(self, name: str, project: str) -> str:
        """Return why Argo CD cannot compare the application with git and the cluster, "" when it can."""
        actual = self.find(name, project)
        conditions = (actual.status.conditions if actual else None) or ()
        texts = [each.message for each in conditions if each.type == "ComparisonError"]
        if not texts:
            return ""
        failure, doing = read_failure(texts[0]), f"comparing {name} with git and the cluster"
        known = error_of(failure, doing)
        return known.reason if known else f"Argo CD failed while {doing}: {failure.words}"

    def get_ours(self, name: str, project: str, marker: str) -> Object:
        """Return the application. Raises Permanent when it is absent, Conflict when it is not ours."""
        actual = self.find(name, project)
        if actual is None:
            reason = f"the application {name} does not exist on Argo CD"
            raise self._api.permanent(reason, ActionBy.USER)
        self._require_marked(name, actual, marker)
        return actual

    def _require_marked(self, name: str, actual: Object, marker: str) -> None:
        if (actual.metadata.annotations or {}).get(MARKER) != marker:
            raise self._taken(f"the application {name} exists on Argo CD and was not made for this app")

    def _require_kept(self, name: str, actual: Object) -> None:
        if actual.metadata.deletionTimestamp:
            reason = f"an application {name} is still being deleted"
            raise self._api.not_yet(reason, retry_after_s=DELETION_POLL_S)

    def _replace_spec(self, name: str, spec: Spec) -> None:
        reply = self._api.send(
            "PUT",
            "applications",
            name,
            "spec",
            params=self.within(spec["project"]) | {"validate": "true"},
            json=spec,
            total_s=SLOW_S,
        )
        if reply.status != 200:
            doing = f"updating the application {name}"
            raise self.failed(reply, doing, name=name, project=spec["project"], right="update")
        kept = reply.read_as(dict[str, Any])
        if not holds(kept, spec):
            reason = f"Argo CD did not keep all of the application {name}"
            raise self._api.permanent(reason)

    def _taken(self, reason: str) -> Conflict:
        return self._api.conflict(reason, "choose another app name", "ask an operator to delete that application")


def _still_there(name: str, actual: Object) -> str:
    """Include Argo CD's own errors: an unreachable cluster keeps an application for ever."""
    reason = f"the application {name} is still being deleted"
    errors = (cleaned(each.message) for each in actual.status.conditions or () if each.type == "DeletionError")
    return ": ".join((reason, *errors))

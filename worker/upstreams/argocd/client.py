"""How do we make repositories and applications on Argo CD?

A missing thing is a 403 unless it is asked for in the right way, and fields that Argo CD does not know are dropped in
silence. So we look where the answer is clear, and compare what is there after every write.
Source: argoproj/argo-cd 3.5.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from common.errors import ActionBy, Conflict, Permanent, Transient
from worker.upstreams.argocd.base import APPLICATIONS, MARKER, REPOSITORIES, SLOW_S
from worker.upstreams.argocd.errors import is_different_spec, refusal
from worker.upstreams.argocd.manifest import Spec, application, canonical_url, chart, corrected, holds
from worker.upstreams.argocd.removal import Removals
from worker.upstreams.argocd.schemas import Object, Objects
from worker.upstreams.argocd.syncs import Syncs
from worker.upstreams.http import Limits

__all__ = ["LIMITS", "MARKER", "Application", "ArgoCD", "Repository", "argocd_headers"]

LIMITS = Limits(read_s=90.0)  # Argo CD is silent while it lists refs and renders a whole chart

_CASCADE = "resources-finalizer.argocd.argoproj.io"
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,51}[a-z0-9])?")


@dataclass(frozen=True, kw_only=True)
class Repository:
    """A git repository that Argo CD may read. `found`: it was there before the call."""

    url: str
    found: bool


@dataclass(frozen=True, kw_only=True)
class Application:
    """An application. `uid` changes when it is deleted and made again; `found`: it was there before the call."""

    name: str
    uid: str
    found: bool


def argocd_headers(token: str) -> dict[str, str]:
    """Return what every call needs; `token` may begin with the word Bearer.

    The content type is compared as a whole, on every method but GET, with or without a body.
    """
    word, _, rest = token.strip().partition(" ")
    bare = rest.strip() if word.lower() == "bearer" else token.strip()
    return {
        "Authorization": f"Bearer {bare}",
        "Content-Type": "application/json",
        "Accept": "application/json",
    }


class ArgoCD(Syncs, Removals):
    """Argo CD, whole: repositories and applications are made here, synced and removed in the other files."""

    def ensure_repository(
        self,
        url: str,
        *,
        username: str | None,
        password: str | None,
        project: str | None = None,
        on_create: Callable[[], None],
    ) -> Repository:
        """Register `url` when it is not registered in `project`. `on_create` runs just before the registration.

        Safe to repeat: the URL is the identity; what is registered is left as it is. Argo CD tests the connection
        before it stores a repository without project, never one with. Raises Transient while git cannot be reached,
        Permanent when it refuses the credentials, Conflict when the URL is taken where we may not see it.
        Source: `server/repository CreateRepository`.
        """
        url = canonical_url(url)
        if self._registered(url, project) is not None:
            return Repository(url=url, found=True)
        on_create()
        body = {"repo": url, "type": "git", "username": username, "password": password, "project": project}
        reply = self._http.send(
            "POST",
            *REPOSITORIES,
            params={"upsert": "false"},
            json={key: value for key, value in body.items() if value},
            total_s=SLOW_S,
        )
        if reply.status == 200:
            return Repository(url=url, found=False)
        if is_different_spec(reply):
            return self._look_again(url, project)
        raise refusal(self._http, reply, f"registering {url}", secrets=(password,) if password else ())

    def _look_again(self, url: str, project: str | None) -> Repository:
        if self._registered(url, project) is not None:
            return Repository(url=url, found=True)
        reason = f"Argo CD has {url} with other credentials, where our account cannot see it"
        choices = ("ask an operator to remove that repository from Argo CD",)
        raise Conflict(reason, choices=choices, upstream=self._http.name)

    # -- applications ---------------------------------------------------------------------------------------

    def ensure_application(
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
        name of a cluster that Argo CD knows. It syncs when it is told to, never by itself.

        Safe to repeat: an application annotated with `marker` is ours. Raises Conflict when the name is anybody
        else's, in whatever project; NotYet while one of that name is being deleted; Permanent when Argo CD finds the
        description invalid; Transient while it or git cannot be reached.
        Source: `server/application Create`, `UpdateSpec`.
        """
        self._require_label(name)
        source = chart(repository_url, path, revision, release_name, helm_parameters)
        spec = application(project=project, source=source, cluster=cluster, namespace=namespace)
        actual = self._find(name, project)
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
        """Check it here: Argo CD does so last, after up to two minutes of rendering."""
        if not _LABEL.fullmatch(name):
            reason = f"{name!r} cannot be an application's name: 1 to 53 lower-case letters, digits and -"
            raise Permanent(reason, action_by=ActionBy.USER, upstream=self._http.name)

    def _require_free(self, name: str, project: str) -> None:
        """Look through all projects: they share one name space. The list may lag, so our own project is not judged."""
        reply = self._http.send("GET", *APPLICATIONS, params={"name": name})
        listed = self._expect(reply, "listing the applications").read_as(Objects)
        for item in listed.items or []:
            if item.metadata.name == name and item.spec.get("project") != project:
                raise self._taken(f"the application {name} exists on Argo CD in another project")

    def _create(self, name: str, spec: Spec, marker: str) -> Object:
        """Create it and return what is there now: "different" means that another call was first."""
        metadata = {
            "name": name,
            "annotations": {MARKER: marker},
            "labels": {"app.kubernetes.io/managed-by": "slipway"},
            "finalizers": [_CASCADE],
        }
        reply = self._http.send(
            "POST",
            *APPLICATIONS,
            params={"upsert": "false", "validate": "true"},
            json={"metadata": metadata, "spec": spec},
            total_s=SLOW_S,
        )
        if reply.status != 200 and not is_different_spec(reply):
            raise refusal(self._http, reply, f"creating the application {name}")
        actual = self._find(name, spec["project"])
        if actual is not None:
            return actual
        if reply.status == 200:
            reason = f"Argo CD accepted the application {name} but does not show it yet"
            raise Transient(reason, upstream=self._http.name)
        raise self._taken(f"the application {name} exists on Argo CD where our account cannot see it")

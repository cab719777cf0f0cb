"""How do we see and make repositories and applications on Argo CD?

A missing thing is a 403 unless it is asked for in the right way, and fields that Argo CD does not know are dropped in
silence. So we look where the answer is clear, and compare what is there after every write.
Source: argoproj/argo-cd 3.5.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from common.errors import Conflict, Mender, NotYet, Permanent, Transient
from worker.upstreams.argocd_answers import is_different_spec, refusal
from worker.upstreams.argocd_spec import (
    Spec,
    application,
    canonical_url,
    chart,
    corrected,
    holds,
    is_same_repository,
)
from worker.upstreams.http import Deadline, Http, Limits, Reply

LIMITS = Limits(read_s=90.0)  # Argo CD is silent while it lists refs and renders a whole chart

MARKER = "slipway.dev/marker"

_SLOW_S = 90.0
_DELETION_POLL_S = 5.0
_CASCADE = "resources-finalizer.argocd.argoproj.io"
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,51}[a-z0-9])?")
_REPOSITORIES = ("api", "v1", "repositories")
_APPLICATIONS = ("api", "v1", "applications")


@dataclass(frozen=True, kw_only=True)
class Repository:
    """A git repository that Argo CD may read. `found`: it was there before the call."""

    url: str
    found: bool


@dataclass(frozen=True, kw_only=True)
class _Metadata:
    name: str
    uid: str
    annotations: dict[str, str] | None = None
    deletionTimestamp: str | None = None  # noqa: N815 - Kubernetes' word


@dataclass(frozen=True, kw_only=True)
class _Object:
    metadata: _Metadata
    spec: Spec


@dataclass(frozen=True, kw_only=True)
class _Repositories:
    items: list[dict[str, Any]] | None = None


@dataclass(frozen=True, kw_only=True)
class _Applications:
    items: list[_Object] | None = None


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


class ArgoCD:
    """Our account on one Argo CD. `http` carries `argocd_headers` and `LIMITS`."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def within(self, deadline: Deadline) -> ArgoCD:
        """Return a copy whose calls all end by `deadline`."""
        return ArgoCD(self._http.within(deadline))

    # -- repositories ---------------------------------------------------------------------------------------

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
        if self._has_repository(url, project):
            return Repository(url=url, found=True)
        on_create()
        body = {"repo": url, "type": "git", "username": username, "password": password, "project": project}
        reply = self._http.send(
            "POST",
            *_REPOSITORIES,
            params={"upsert": "false"},
            json={key: value for key, value in body.items() if value},
            total_s=_SLOW_S,
        )
        if reply.status == 200:
            return Repository(url=url, found=False)
        if is_different_spec(reply):
            return self._look_again(url, project)
        raise refusal(self._http, reply, f"registering {url}", secrets=(password,) if password else ())

    def _look_again(self, url: str, project: str | None) -> Repository:
        if self._has_repository(url, project):
            return Repository(url=url, found=True)
        reason = f"Argo CD has {url} with other credentials, where our account cannot see it"
        choices = ("ask an operator to remove that repository from Argo CD",)
        raise Conflict(reason, choices=choices, upstream=self._http.name)

    def _has_repository(self, url: str, project: str | None) -> bool:
        """Look in the list: a URL as a path segment is taken apart by proxies, and absent is a 403 there."""
        reply = self._http.send("GET", *_REPOSITORIES, total_s=_SLOW_S)  # it may test every connection first
        items = self._expect(reply, "listing the repositories").read_as(_Repositories).items or []
        return any(
            is_same_repository(item.get("repo", ""), url) and (item.get("project") or "") == (project or "")
            for item in items
        )

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
        self._require_ours(name, actual, marker)
        if not holds(actual.spec, spec):
            self._replace_spec(name, actual.spec, spec)
        return Application(name=name, uid=actual.metadata.uid, found=found)

    def _require_label(self, name: str) -> None:
        """Check it here: Argo CD does so last, after up to two minutes of rendering."""
        if not _LABEL.fullmatch(name):
            reason = f"{name!r} cannot be an application's name: 1 to 53 lower-case letters, digits and -"
            raise Permanent(reason, mender=Mender.USER, upstream=self._http.name)

    def _find(self, name: str, project: str) -> _Object | None:
        reply = self._http.send("GET", *_APPLICATIONS, name, params={"project": project})
        if reply.status == 404:
            return None
        return self._expect(reply, f"reading the application {name}").read_as(_Object)

    def _require_free(self, name: str, project: str) -> None:
        """Look through all projects: they share one name space. The list may lag, so our own project is not judged."""
        reply = self._http.send("GET", *_APPLICATIONS, params={"name": name})
        listed = self._expect(reply, "listing the applications").read_as(_Applications)
        for item in listed.items or []:
            if item.metadata.name == name and item.spec.get("project") != project:
                raise self._taken(f"the application {name} exists on Argo CD in another project")

    def _create(self, name: str, spec: Spec, marker: str) -> _Object:
        """Create it and return what is there now: "different" means that another call was first."""
        metadata = {
            "name": name,
            "annotations": {MARKER: marker},
            "labels": {"app.kubernetes.io/managed-by": "slipway"},
            "finalizers": [_CASCADE],
        }
        reply = self._http.send(
            "POST",
            *_APPLICATIONS,
            params={"upsert": "false", "validate": "true"},
            json={"metadata": metadata, "spec": spec},
            total_s=_SLOW_S,
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

    def _require_ours(self, name: str, actual: _Object, marker: str) -> None:
        if actual.metadata.deletionTimestamp:
            reason = f"an application {name} is still being deleted"
            raise NotYet(reason, retry_after_s=_DELETION_POLL_S, upstream=self._http.name)
        if (actual.metadata.annotations or {}).get(MARKER) != marker:
            raise self._taken(f"the application {name} exists on Argo CD and was not made for this app")

    def _replace_spec(self, name: str, actual: Spec, wanted: Spec) -> None:
        reply = self._http.send(
            "PUT",
            *_APPLICATIONS,
            name,
            "spec",
            params={"project": wanted["project"], "validate": "true"},
            json=corrected(actual, wanted),
            total_s=_SLOW_S,
        )
        kept = self._expect(reply, f"updating the application {name}").read_as(dict[str, Any])
        if not holds(kept, wanted):
            reason = f"Argo CD did not keep all of the application {name}"
            raise Permanent(reason, mender=Mender.OPERATOR, upstream=self._http.name)

    def _taken(self, reason: str) -> Conflict:
        choices = ("choose another app name", "ask an operator to delete that application")
        return Conflict(reason, choices=choices, upstream=self._http.name)

    def _expect(self, reply: Reply, doing: str) -> Reply:
        if reply.status != 200:
            raise refusal(self._http, reply, doing)
        return reply

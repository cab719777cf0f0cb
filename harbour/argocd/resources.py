"""The objects of an application one by one: wanted and live, as a tree with what they made, and what happened to it."""

from __future__ import annotations

import json
import uuid
from typing import Any

from werkzeug.wrappers import Request, Response

from harbour.argocd.applications import BASE
from harbour.argocd.clusters import Live, live_manifest
from harbour.argocd.core import DENIED, UNKNOWN, ApiError, answer, timestamp
from harbour.argocd.manifests import Manifest, group_of, images_of, key_of, kind_of, name_of, namespace_of
from harbour.argocd.model import Application
from harbour.argocd.sync import ArgoCDSync
from harbour.argocd.views import Seen, named, resources
from harbour.server import route

POD_PROBLEM = "ImagePullBackOff"


class ArgoCDResources(ArgoCDSync):
    """What a console shows of an application. All of it comes from caches: also while the Kubernetes API is away."""

    @route("GET", f"{BASE}/:name/managed-resources")
    def managed_resources(self, request: Request, name: str) -> Response:
        """Answer each object as the chart wants it and as it is live; the first call waits for a comparison."""
        with self.lock:
            app = self._cached(request, name)
            seen = self.seen(app)
            live_only = [each["manifest"] for key, each in seen.tracked.items() if key not in map(key_of, app.targets)]
            rows = [_managed(each, seen.live.get(key_of(each))) for each in app.targets]
            rows += [_managed(each, seen.live.get(key_of(each)), is_wanted=False) for each in live_only]
        return answer({"items": rows} if rows else {})

    @route("GET", f"{BASE}/:name/resource-tree")
    def resource_tree(self, request: Request, name: str) -> Response:
        """Answer the objects with those that Kubernetes made for them, down to the pods."""
        with self.lock:
            app = self._cached(request, name)
            seen = self.seen(app)
            rows = resources(app, seen, now=self.controller_now())
            nodes = [node for row in rows for node in _nodes(row, seen)]
        return answer({"nodes": nodes} if nodes else {})

    @route("GET", f"{BASE}/:name/events")
    def events(self, request: Request, name: str) -> Response:
        with self.lock:
            app = self.find_application(name, request.args.get("project", ""))
            moments = [(app.created_at, "ResourceCreated", "provisioner created application")]
            for run in app.runs:
                moments.append((run.asked_at, "OperationStarted", f"provisioner initiated sync to {run.revision}"))
                if run.finished_at <= self.controller_now():
                    ended = f"Sync operation to {run.revision} {run.phase.lower()}: {run.message}"
                    moments.append((run.finished_at, "OperationCompleted", ended))
            items = [_event(app, number, *each) for number, each in enumerate(moments)]
        return answer({"metadata": {"resourceVersion": str(self.version)}, "items": items})

    @route("GET", f"{BASE}/:name/links")
    def links(self, request: Request, name: str) -> Response:
        with self.lock:
            self.find_application(name, request.args.get("project", ""))
        return answer({})

    @route("GET", f"{BASE}/:name/revisions/:revision/metadata")
    def revision_metadata(self, request: Request, name: str, revision: str) -> Response:
        """Answer for commits only, and refuse what is not one."""
        with self.lock:
            self.find_application(name, request.args.get("project", ""))
        if len(revision) != 40:
            raise ApiError(UNKNOWN, f"revision {revision} must be resolved")
        return answer({"author": "", "date": None, "message": ""})

    def _cached(self, request: Request, name: str) -> Application:
        """Return an application out of the cache, compared at least once."""
        self.advance()
        app = self.applications.get(name)
        project = request.args.get("project", "")
        if self.is_kubernetes_away and (app is None or project not in ("", app.project)):
            raise ApiError(DENIED, "permission denied")
        if not self.is_kubernetes_away:
            app = self.find_application(name, project)
        assert app is not None  # noqa: S101 - found one way or the other
        if app.reconciled_at > self.controller_now():
            app.reconcile(self.controller_now())
        return app


def _managed(target: Manifest, live: Live | None, *, is_wanted: bool = True) -> dict[str, Any]:
    """Return both states of an object, each JSON in a text; the values of secrets are hidden."""
    names = {key: value for key, value in named(target).items() if key != "version"}
    wanted = _hidden(target) if is_wanted else None
    bare = None if live is None else _hidden(live["manifest"])
    shown = None if live is None else _hidden(live_manifest(live))
    states = {
        "targetState": _text(wanted),
        "liveState": _text(shown),
        "normalizedLiveState": _text(bare),
        "predictedLiveState": _text(wanted),
    }
    version = {} if live is None else {"resourceVersion": str(live["version"])}
    is_modified = live is None or not is_wanted or live["manifest"] != target
    return names | states | version | ({"modified": True} if is_modified else {})


def _text(manifest: Manifest | None) -> str:
    return "null" if manifest is None else json.dumps(manifest, sort_keys=True, separators=(",", ":"))


def _hidden(manifest: Manifest) -> Manifest:
    if kind_of(manifest) != "Secret":
        return manifest
    hidden = {name: dict.fromkeys(manifest[name], "++++++++") for name in ("data", "stringData") if manifest.get(name)}
    return manifest | hidden


def _nodes(row: dict[str, Any], seen: Seen) -> list[dict[str, Any]]:
    names = {key: row[key] for key in ("group", "version", "kind", "namespace", "name") if key in row}
    health = {"health": row["health"]} if "health" in row else {}
    live = seen.live.get(f"{row.get('group', '')}/{row['kind']}:{row.get('namespace', '')}/{row['name']}")
    if live is None:
        return [names | health]
    identity = {"resourceVersion": str(live["version"]), "createdAt": timestamp(live["created_at"])}
    node = names | {"uid": live["uid"]} | identity | health
    if row["kind"] != "Deployment":
        return [node]
    return [node, *_made(live, seen, identity, row.get("health", {}))]


def _made(live: Live, seen: Seen, identity: dict[str, str], health: dict[str, str]) -> list[dict[str, Any]]:
    """Return the replica set of a deployment and its pod."""
    images = images_of(live["manifest"])
    absent = next((each for each in images if each in seen.missing), "")
    namespace, stem = namespace_of(live["manifest"]), f"{name_of(live['manifest'])}-{live['uid'][:10].replace('-', '')}"
    replica_set = {"group": "apps", "version": "v1", "kind": "ReplicaSet", "namespace": namespace, "name": stem}
    pod = {"version": "v1", "kind": "Pod", "namespace": namespace, "name": f"{stem}-{live['uid'][-5:]}"}
    set_id, pod_id = (str(uuid.uuid5(uuid.UUID(live["uid"]), each)) for each in ("set", "pod"))
    parent = {"group": group_of(live["manifest"]), "kind": "Deployment", "namespace": namespace}
    parent |= {"name": name_of(live["manifest"]), "uid": live["uid"]}
    is_up = health.get("status") == "Healthy"
    reason = POD_PROBLEM if absent else "Running" if is_up else "Pending"
    state = {"status": "Healthy" if is_up else "Progressing"}
    if absent:
        state = {"status": "Degraded", "message": f'Back-off pulling image "{absent}"'}
    info = [{"name": "Status Reason", "value": reason}, {"name": "Containers", "value": f"{int(is_up)}/1"}]
    set_health = {"status": "Healthy" if is_up else "Progressing"}
    return [
        replica_set | {"uid": set_id, "parentRefs": [parent], "health": set_health} | identity,
        pod
        | {"uid": pod_id, "parentRefs": [replica_set | {"uid": set_id}], "info": info, "images": images}
        | {"health": state}
        | identity,
    ]


def _event(app: Application, number: int, at: float, reason: str, message: str) -> dict[str, Any]:
    about = {"kind": "Application", "namespace": "argocd", "name": app.name, "uid": app.uid}
    metadata = {"name": f"{app.name}.{number}", "namespace": "argocd", "creationTimestamp": timestamp(at)}
    return {
        "metadata": metadata,
        "involvedObject": about | {"apiVersion": "argoproj.io/v1alpha1"},
        "reason": reason,
        "message": message,
        "source": {"component": "argocd-server"},
        "firstTimestamp": timestamp(at),
        "lastTimestamp": timestamp(at),
        "count": 1,
        "type": "Normal",
        "eventTime": None,
    }

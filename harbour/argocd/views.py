"""Views of applications: JSON for clients, pages for people."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import Any

from werkzeug.wrappers import Response

from harbour.argocd.clusters import Live
from harbour.argocd.core import timestamp
from harbour.argocd.manifests import Manifest, group_of, images_of, key_of, kind_of, name_of, namespace_of, version_of
from harbour.argocd.model import Application, Spec
from harbour.argocd.projects import NAMESPACE
from harbour.argocd.runs import Run, health_shown, history_shown, operation_state

UNRECONCILED = {
    "health": {},
    "summary": {},
    "sync": {"status": "", "comparedTo": {"source": {"repoURL": ""}, "destination": {}}},
}
"""The status of an application before the controller's first comparison."""
RESYNC_S = 180.0  # the controller compares every application this often, also without a change
WORST_FIRST = ("Unknown", "Degraded", "Progressing", "Suspended")
WITHOUT_HEALTH = frozenset({"ConfigMap", "Secret", "ServiceAccount", "Role", "RoleBinding", "Namespace"})


@dataclass(kw_only=True)
class Seen:
    """What the controller sees beside the application: live objects, and what keeps it from its work.

    `unpermitted` are the targets that it does not watch, `shared` the sentences about other applications, `missing`
    the images that no registry has.
    """

    live: dict[str, Live] = field(default_factory=dict)
    tracked: dict[str, Live] = field(default_factory=dict)
    unpermitted: frozenset[str] = frozenset()
    shared: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    deletion_error: str = ""
    is_deletion_hanging: bool = False


def application_shown(app: Application, *, now: float, seen: Seen) -> dict[str, Any]:
    """Return the whole object."""
    at = _reconciled_at(app, now)
    status = dict(UNRECONCILED) if at is None else _status(app, seen, at=at, now=now)
    conditions = _conditions(app, seen, at)
    if is_invalid(app, now):
        missing = f"Application referencing project {app.project} which does not exist"
        since = timestamp(app.invalid_at or now)
        conditions.append({"type": "InvalidSpecError", "message": missing, "lastTransitionTime": since})
    status |= {"conditions": conditions} if conditions else {}
    shown = {"metadata": _metadata(app), "spec": app.spec, "status": status | _operations(app, now)}
    running = app.running(now)
    return shown | ({"operation": running.operation} if running else {})


def _reconciled_at(app: Application, now: float) -> float | None:
    """Return the time of the controller's last comparison, None before the first."""
    moments = [app.reconciled_at, *(at for run in app.runs for at in run.changes(now))]
    last = max((at for at in moments if at <= now), default=None)
    if last is None or any(run.finished_at <= now < run.reconciled_at for run in app.runs):
        return last
    return last + (now - last) // RESYNC_S * RESYNC_S


def _metadata(app: Application) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "name": app.name,
        "namespace": NAMESPACE,
        "uid": app.uid,
        "generation": app.generation,
        "resourceVersion": str(app.resource_version),
        "creationTimestamp": timestamp(app.created_at),
    }
    optional = {"labels": app.labels, "annotations": app.annotations, "finalizers": app.finalizers}
    metadata |= {key: value for key, value in optional.items() if value}
    if app.deleted_at is not None:
        metadata |= {"deletionTimestamp": timestamp(app.deleted_at), "deletionGracePeriodSeconds": 0}
    return metadata


def _status(app: Application, seen: Seen, *, at: float, now: float) -> dict[str, Any]:
    compared = {"source": app.spec["source"], "destination": app.spec["destination"]}
    rows = [] if app.away else resources(app, seen, now=now)
    if is_invalid(app, now):
        rows = [each | {"status": "Unknown"} for each in rows]
    is_equal = all(each["status"] == "Synced" for each in rows if not each.get("hook"))
    status = "Unknown" if app.is_unknown or is_invalid(app, now) else "Synced" if is_equal else "OutOfSync"
    revision = app.spec["source"].get("targetRevision", "HEAD") if app.is_unknown else app.revision
    images = sorted({image for each in seen.tracked.values() for image in images_of(each["manifest"])})
    shown = {
        "sync": {"status": status, "comparedTo": compared, "revision": revision},
        "health": _health(rows, at) | ({"status": "Unknown"} if is_invalid(app, now) else {}),
        "reconciledAt": timestamp(at),
        "summary": {"images": images} if images else {},
        "resourceHealthSource": "appTree",
        "controllerNamespace": NAMESPACE,
    }
    if not app.is_unknown:
        shown["sourceType"] = app.source_type
    for each in rows:
        each.get("health", {}).pop("lastTransitionTime", None)
    return shown | ({"resources": rows} if rows else {})


def is_invalid(app: Application, now: float) -> bool:
    """Say whether the last comparison found no project; the one after it is due within `RESYNC_S`."""
    return app.invalid_at is not None and now - app.invalid_at < RESYNC_S


def _health(rows: list[dict[str, Any]], at: float) -> dict[str, str]:
    """Return the worst health; what is missing counts only when everything is."""
    own = [each for each in rows if not each.get("hook")]
    known: list[dict[str, str]] = [each["health"] for each in own if "health" in each]
    present = [each for each in known if each["status"] != "Missing"]
    if own and len(known) == len(own) and not present:
        return {"status": "Missing", "lastTransitionTime": timestamp(at)}
    for status in WORST_FIRST:
        found = next((each for each in present if each["status"] == status), None)
        if found is not None:
            return {"status": status, "lastTransitionTime": found.get("lastTransitionTime", timestamp(at))}
    since = max((each["lastTransitionTime"] for each in present if "lastTransitionTime" in each), default=timestamp(at))
    return {"status": "Healthy", "lastTransitionTime": since}


def resources(app: Application, seen: Seen, *, now: float) -> list[dict[str, Any]]:
    """Return each object of the chart and each that is still there, with its state; hooks while they run."""
    run, targets = app.live(now), {} if app.is_unknown else {key_of(each): each for each in app.targets}
    rows = []
    for key, target in targets.items():
        live = seen.live.get(key)
        status = "Synced" if live is not None and live["manifest"] == target else "OutOfSync"
        row = named(target) | {"status": "Unknown" if key in seen.unpermitted else status}
        rows.append(row | _health_of(target, live, seen, run, now=now))
    for key, live in seen.tracked.items():
        if key not in targets:
            row = named(live["manifest"]) | {"status": "Unknown" if app.is_unknown else "OutOfSync"}
            health = _health_of(live["manifest"], live, seen, run, now=now)
            rows.append(row | {"requiresPruning": True} | health)
    return rows + _running_hooks(app, now)


def named(manifest: Manifest) -> dict[str, Any]:
    """Return what names an object in a status: nothing that is empty."""
    names = {
        "group": group_of(manifest),
        "version": version_of(manifest),
        "kind": kind_of(manifest),
        "namespace": namespace_of(manifest),
        "name": name_of(manifest),
    }
    return {key: value for key, value in names.items() if value}


def _health_of(
    target: Manifest, live: Live | None, seen: Seen, run: Run | None, *, now: float
) -> dict[str, dict[str, str]]:
    """Return the health of one object, nothing for a kind that has none."""
    if live is None:
        return {"health": {"status": "Missing"}}
    if seen.is_deletion_hanging:
        return {"health": {"status": "Progressing", "message": "Pending deletion"}}
    if kind_of(target) in WITHOUT_HEALTH:
        return {}
    if kind_of(target) != "Deployment" or run is None or key_of(target) not in seen.tracked:
        return {"health": {"status": "Healthy"}}
    is_missing = any(image in seen.missing for image in images_of(live["manifest"]))
    missing = f'Deployment "{name_of(target)}" exceeded its progress deadline' if is_missing else ""
    return {"health": health_shown(run, now, missing=missing)}


def _running_hooks(app: Application, now: float) -> list[dict[str, Any]]:
    run = app.running(now)
    if run is None or not run.hook or now < run.begun_at:
        return []
    names = ("group", "version", "kind", "namespace", "name")
    return [
        {key: each[key] for key in names if each[key]}
        | {"health": {"status": "Progressing"}, "hook": True, "requiresPruning": True}
        for each in run.results
        if each.get("hookType")
    ]


def _conditions(app: Application, seen: Seen, at: float | None) -> list[dict[str, str]]:
    """Return why it cannot be compared or removed, and who else has its objects."""
    found = []
    if at is not None:
        texts = [*app.away.split(";")] if app.away else [app.problem] if app.problem else []
        found += [("ComparisonError", text, at) for text in texts]
        found += [("UnknownError", app.away[app.away.rindex("error synchronizing") :], at)] if app.away else []
        found += [("SharedResourceWarning", text, at) for text in seen.shared]
    if seen.deletion_error and app.deleted_at is not None:
        found.append(("DeletionError", seen.deletion_error, app.deleted_at))
    return [{"type": kind, "message": text, "lastTransitionTime": timestamp(since)} for kind, text, since in found]


def _operations(app: Application, now: float) -> dict[str, Any]:
    """Return the last operation and the history. One that has not begun has no state."""
    shown: dict[str, Any] = {}
    if app.runs and app.runs[-1].begun_at <= now:
        shown["operationState"] = operation_state(app.runs[-1], now=now)
    history = history_shown(app.deployed(now))
    return shown | ({"history": history} if history else {})


def page(app: Application | None, status: dict[str, Any]) -> Response:
    """Return the user interface, open at an application when there is one."""
    title = app.name if app else "Applications"
    body = _facts(app, status) if app else "<p>Argo CD</p>"
    text = f"<!doctype html><title>{escape(title)} - Argo CD</title><h1>{escape(title)}</h1>{body}"
    return Response(text, content_type="text/html; charset=utf-8")


def _facts(app: Application, status: dict[str, Any]) -> str:
    spec, source = app.spec, app.spec["source"]
    destination = spec["destination"]
    rows = {
        "Project": app.project,
        "Repository": source["repoURL"],
        "Path": source["path"],
        "Revision": source.get("targetRevision", "HEAD"),
        "Cluster": destination.get("name") or destination.get("server", ""),
        "Namespace": destination.get("namespace", ""),
        "Sync": status["sync"]["status"] or "Unknown",
        "Health": status["health"].get("status", "Unknown"),
        "Images": ", ".join(status["summary"].get("images", [])),
        "Last operation": status.get("operationState", {}).get("phase", "none"),
    } | _parameters(spec)
    cells = "".join(f"<tr><th>{escape(key)}</th><td>{escape(str(value))}</td></tr>" for key, value in rows.items())
    return f"<table>{cells}</table>"


def _parameters(spec: Spec) -> dict[str, str]:
    given = spec["source"].get("helm", {}).get("parameters", [])
    return {f"Parameter {each.get('name', '')}": each.get("value", "") for each in given}

"""Views of applications: JSON for clients, pages for people."""

from __future__ import annotations

from html import escape
from typing import Any

from werkzeug.wrappers import Response

from harbour.argocd.core import timestamp
from harbour.argocd.model import Application, Spec
from harbour.argocd.projects import NAMESPACE
from harbour.argocd.runs import RESOURCES, Run, health_shown, history_shown, operation_state

UNRECONCILED = {
    "health": {},
    "summary": {},
    "sync": {"status": "", "comparedTo": {"source": {"repoURL": ""}, "destination": {}}},
}
"""The status of an application before the controller's first comparison."""
RESYNC_S = 180.0  # the controller compares every application this often, also without a change


def application_shown(app: Application, *, now: float, deletion_error: str = "") -> dict[str, Any]:
    """Return the whole object; `deletion_error` is why its removal does not end."""
    at = _reconciled_at(app, now)
    status = dict(UNRECONCILED) if at is None else _status(app, at=at, now=now)
    conditions = _conditions(app, deletion_error, at)
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


def _status(app: Application, *, at: float, now: float) -> dict[str, Any]:
    live = app.live(now)
    compared = {"source": app.spec["source"], "destination": app.spec["destination"]}
    sync: dict[str, Any] = {"status": _sync_status(app, live), "comparedTo": compared}
    if not app.problem:
        sync["revision"] = app.revision
    health = {"status": "Unknown" if app.problem else "Missing", "lastTransitionTime": timestamp(at)}
    if live and not app.problem:
        health = health_shown(live, now)
    return {
        "sync": sync,
        "health": health,
        "reconciledAt": timestamp(at),
        "resources": [] if app.problem else _resources(app, sync["status"], health),
        "sourceType": "Helm",
        "summary": {"images": live.images} if live and live.images else {},
    }


def _sync_status(app: Application, live: Run | None) -> str:
    """Compare what is deployed with the spec: after a rollback they differ."""
    if app.problem:
        return "Unknown"
    is_equal = live is not None and (live.source, live.revision) == (app.spec["source"], app.revision)
    return "Synced" if is_equal else "OutOfSync"


def _resources(app: Application, sync: str, health: dict[str, str]) -> list[dict[str, Any]]:
    namespace = app.spec["destination"].get("namespace", "")
    common = {"version": "v1", "namespace": namespace, "name": app.name, "status": sync, "health": health}
    return [{"group": group, "kind": kind} | common for group, kind in RESOURCES]


def _conditions(app: Application, deletion_error: str, at: float | None) -> list[dict[str, str]]:
    """Return why it cannot be compared or removed."""
    conditions = []
    if app.problem and at is not None:
        problem = {"type": "ComparisonError", "message": app.problem, "lastTransitionTime": timestamp(at)}
        conditions.append(problem)
    if deletion_error and app.deleted_at is not None:
        since = timestamp(app.deleted_at)
        conditions.append({"type": "DeletionError", "message": deletion_error, "lastTransitionTime": since})
    return conditions


def _operations(app: Application, now: float) -> dict[str, Any]:
    """Return the last operation and the history. One that has not begun has no state."""
    shown: dict[str, Any] = {}
    if app.runs and app.runs[-1].begun_at <= now:
        namespace = app.spec["destination"].get("namespace", "")
        shown["operationState"] = operation_state(app.runs[-1], name=app.name, namespace=namespace, now=now)
    history = history_shown(app.deployed(now))
    return shown | ({"history": history} if history else {})


def page(app: Application | None, *, now: float) -> Response:
    """Return the user interface, open at an application when there is one."""
    title = app.name if app else "Applications"
    body = _facts(app, now) if app else "<p>Argo CD</p>"
    text = f"<!doctype html><title>{escape(title)} - Argo CD</title><h1>{escape(title)}</h1>{body}"
    return Response(text, content_type="text/html; charset=utf-8")


def _facts(app: Application, now: float) -> str:
    status = application_shown(app, now=now)["status"]
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

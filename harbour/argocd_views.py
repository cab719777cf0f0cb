"""What does an application look like, as JSON for clients and as a page for people?"""

from __future__ import annotations

from html import escape
from typing import Any

from werkzeug.wrappers import Response

from harbour.argocd_checks import NAMESPACE
from harbour.argocd_core import timestamp
from harbour.argocd_model import Application, Spec

UNRECONCILED = {
    "health": {},
    "summary": {},
    "sync": {"status": "", "comparedTo": {"source": {"repoURL": ""}, "destination": {}}},
}
"""The status of an application that no controller has looked at yet."""


def application_shown(app: Application, *, now: float) -> dict[str, Any]:
    """Return the whole object. Nothing has been synced, so its status follows from the time alone."""
    reconciled = app.reconciled_at <= now
    return {"metadata": _metadata(app), "spec": app.spec, "status": _status(app) if reconciled else UNRECONCILED}


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


def _status(app: Application) -> dict[str, Any]:
    at = timestamp(app.reconciled_at)
    compared = {"source": app.spec.get("source", {}), "destination": app.spec.get("destination", {})}
    sync: dict[str, Any] = {"status": "Unknown" if app.problem else "OutOfSync", "comparedTo": compared}
    status: dict[str, Any] = {
        "sync": sync,
        "health": {"status": "Unknown" if app.problem else "Missing", "lastTransitionTime": at},
        "reconciledAt": at,
        "sourceType": "Helm",
        "summary": {},
    }
    if app.problem:
        condition = {"type": "ComparisonError", "message": app.problem, "lastTransitionTime": at}
        return status | {"conditions": [condition]}
    sync["revision"] = app.revision
    return status


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
    } | _parameters(spec)
    cells = "".join(f"<tr><th>{escape(key)}</th><td>{escape(str(value))}</td></tr>" for key, value in rows.items())
    return f"<table>{cells}</table>"


def _parameters(spec: Spec) -> dict[str, str]:
    given = spec["source"].get("helm", {}).get("parameters", [])
    return {f"Parameter {each.get('name', '')}": each.get("value", "") for each in given}

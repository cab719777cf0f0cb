"""Syncs and rollbacks over time: which part of one is visible when.

    asked ──▶ begun ──▶ finished ──▶ reconciled ──▶ settled ──▶ recovered
      operation only                    │ Progressing  │ Healthy, or Degraded and perhaps Healthy again
                operationState Running  │
                          Succeeded | Failed | Error
    ─── sync and health of before ──────┘

The trap is between finished and reconciled: the operation has succeeded, and the status still shows the old health.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from harbour.argocd.core import timestamp

DONE = "successfully synced (all tasks run)"
RESOURCES = (("apps", "Deployment"), ("", "Service"))
"""Group and kind of the bundled chart's objects, each named as the application."""
_IMAGE = re.compile(r"^image:[^\n]*\n((?:[ \t]+[^\n]*\n?|\s*\n)*)", re.MULTILINE)
_SETTING = re.compile(r"^[ \t]+(repository|tag):[ \t]*([^\s#]+)", re.MULTILINE)


@dataclass(kw_only=True)
class Run:
    """One operation. All its times are set when it is requested; the clock decides which part is visible.

    Times are seconds since 1970. `phase` and `message` are how it ends, `sickness` is why its deployment is not
    healthy, `recovered_at` when it becomes healthy again. `images` and `source` are what it deploys.
    """

    id: int
    operation: dict[str, Any]
    source: dict[str, Any]
    revision: str
    images: list[str]
    asked_at: float
    begun_at: float
    finished_at: float
    reconciled_at: float
    settled_at: float
    recovered_at: float | None = None
    phase: str = "Succeeded"
    message: str = DONE
    sickness: str = ""
    is_terminated: bool = False

    def has_deployed(self, now: float) -> bool:
        is_dry = self.operation["sync"].get("dryRun", False)
        return self.phase == "Succeeded" and not is_dry and self.finished_at <= now

    def terminate(self, now: float, *, finished_at: float) -> None:
        """End it early, at `finished_at`; nothing is deployed."""
        self.is_terminated = True
        self.phase, self.message = "Failed", "Operation terminated"
        self.begun_at = min(self.begun_at, now)
        self.reconciled_at += finished_at - self.finished_at
        self.finished_at = finished_at

    def reconcile(self, now: float) -> None:
        self.reconciled_at = min(self.reconciled_at, now)

    def changes(self, now: float) -> list[float]:
        """Return the times up to now at which the controller compared: its end, and changes of the health."""
        moments = [self.reconciled_at]
        if self.has_deployed(now):
            moments += [self.settled_at, *([self.recovered_at] if self.recovered_at else [])]
        return [at for at in moments if at <= now]


def health_shown(run: Run, now: float) -> dict[str, str]:
    """Return the health of what `run` deployed."""
    if now < run.settled_at:
        waiting = "Waiting for rollout to finish: 0 of 1 updated replicas are available..."
        return {"status": "Progressing", "message": waiting, "lastTransitionTime": timestamp(run.reconciled_at)}
    if not run.sickness:
        return {"status": "Healthy", "lastTransitionTime": timestamp(run.settled_at)}
    if run.recovered_at is None or now < run.recovered_at:
        return {"status": "Degraded", "message": run.sickness, "lastTransitionTime": timestamp(run.settled_at)}
    return {"status": "Healthy", "lastTransitionTime": timestamp(run.recovered_at)}


def operation_state(run: Run, *, name: str, namespace: str, now: float) -> dict[str, Any]:
    """Return the record of an operation that has begun."""
    state: dict[str, Any] = {
        "operation": run.operation,
        "phase": "Terminating" if run.is_terminated else "Running",
        "startedAt": timestamp(run.begun_at),
        "syncResult": {"revision": run.revision, "source": run.source},
    }
    if now < run.finished_at:
        return state
    ended = {"phase": run.phase, "message": run.message, "finishedAt": timestamp(run.finished_at)}
    if run.phase != "Error":
        state["syncResult"]["resources"] = _results(run, name, namespace)
    return state | ended


def _results(run: Run, name: str, namespace: str) -> list[dict[str, str]]:
    """Return the result of each resource; when the run failed, the first one has the error."""
    results: list[dict[str, str]] = []
    for group, kind in RESOURCES:
        is_bad = run.phase == "Failed" and not results
        results.append(
            {
                "group": group,
                "version": "v1",
                "kind": kind,
                "namespace": namespace,
                "name": name,
                "status": "SyncFailed" if is_bad else "Synced",
                "message": run.message if is_bad else f"{kind.lower()}/{name} configured",
                "syncPhase": "Sync",
            }
        )
    return results


def history_shown(runs: list[Run]) -> list[dict[str, Any]]:
    """Return what can be rolled back to, with who requested it, without the infos."""
    return [
        {
            "id": run.id,
            "revision": run.revision,
            "source": run.source,
            "deployStartedAt": timestamp(run.begun_at),
            "deployedAt": timestamp(run.finished_at),
            "initiatedBy": run.operation["initiatedBy"],
        }
        for run in runs
    ]


def images_of(source: dict[str, Any], values: str) -> list[str]:
    """Return the image that a chart runs: from the parameters, else from `image` in its values."""
    block = _IMAGE.search(values)
    image = {key: value.strip("\"'") for key, value in _SETTING.findall(block[1] if block else "")}
    for each in source.get("helm", {}).get("parameters", []):
        if each.get("name") in ("image.repository", "image.tag"):
            image[each["name"].removeprefix("image.")] = each.get("value", "")
    return [f"{image['repository']}:{image['tag']}"] if image.get("repository") and image.get("tag") else []

"""Syncs and rollbacks over time: which part of one is visible when.

    asked ──▶ begun ──▶ finished ──▶ reconciled ──▶ settled ──▶ recovered
      operation only                    │ Progressing  │ Healthy, or Degraded and perhaps Healthy again
                operationState Running  │
                          Succeeded | Failed | Error
    ─── sync and health of before ──────┘

The trap is between finished and reconciled: the operation has succeeded, and the status still shows the old health.
One whose hook does not end is held: it finishes when somebody lets it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from harbour.argocd.core import timestamp
from harbour.argocd.outcome import DONE, Result

HELD_S = 1e9
"""How far away the end of an operation is whose hook does not end."""
MOMENTS = ("begun_at", "finished_at", "reconciled_at", "settled_at", "recovered_at")


@dataclass(kw_only=True)
class Run:
    """One operation. All its times are set when it is requested; the clock decides which part is visible.

    Times are seconds since 1970. `phase`, `message` and `results` are how it ends, `applied` and `pruned` what it
    changes on the cluster, `sickness` is why its deployment is not healthy, `recovered_at` when it becomes healthy
    again. `hook` names the hook that it waits for.
    """

    id: int
    operation: dict[str, Any]
    source: dict[str, Any]
    revision: str
    asked_at: float
    begun_at: float
    finished_at: float
    reconciled_at: float
    settled_at: float
    recovered_at: float | None = None
    phase: str = "Succeeded"
    message: str = DONE
    results: list[Result] = field(default_factory=list)
    manifests: list[dict[str, Any]] = field(default_factory=list)
    applied: list[dict[str, Any]] = field(default_factory=list)
    away: str = ""
    sickness: str = ""
    hook: str = ""
    is_held: bool = False
    is_terminated: bool = False
    is_applied: bool = False

    def has_deployed(self, now: float) -> bool:
        is_dry = self.operation["sync"].get("dryRun", False)
        return self.phase == "Succeeded" and not is_dry and self.finished_at <= now

    def terminate(self, now: float, *, finished_at: float) -> None:
        """End it early, at `finished_at`; of its objects only the namespace stays."""
        self.is_terminated, self.is_held = True, False
        self.phase, self.message = "Failed", "Operation terminated"
        self.begun_at = min(self.begun_at, now)
        self.reconciled_at += finished_at - self.finished_at
        self.finished_at = finished_at
        self.applied = [each for each in self.applied if each["kind"] == "Namespace"]
        self.results = [each for each in self.results if each["syncPhase"] == "PreSync"]

    def release(self, now: float) -> None:
        """Let a held operation finish now."""
        if self.is_held:
            self.is_held = False
            self.delay(now - self.finished_at, after=now)

    def delay(self, seconds: float, *, after: float) -> None:
        """Move every moment that is later than `after`."""
        for name in MOMENTS:
            at = getattr(self, name)
            if at is not None and at > after:
                setattr(self, name, at + seconds)

    def reconcile(self, now: float) -> None:
        self.reconciled_at = min(self.reconciled_at, now)

    def changes(self, now: float) -> list[float]:
        """Return the times up to now at which the controller compared: its end, and changes of the health."""
        moments = [self.reconciled_at]
        if self.has_deployed(now):
            moments += [self.settled_at, *([self.recovered_at] if self.recovered_at else [])]
        return [at for at in moments if at <= now]


def health_shown(run: Run, now: float, *, missing: str = "") -> dict[str, str]:
    """Return the health of what `run` deployed; `missing` is why it does not come up for want of an image."""
    if now < run.settled_at:
        waiting = "Waiting for rollout to finish: 0 of 1 updated replicas are available..."
        return {"status": "Progressing", "message": waiting, "lastTransitionTime": timestamp(run.reconciled_at)}
    sickness = missing or run.sickness
    if not sickness:
        return {"status": "Healthy", "lastTransitionTime": timestamp(run.settled_at)}
    if missing or run.recovered_at is None or now < run.recovered_at:
        return {"status": "Degraded", "message": sickness, "lastTransitionTime": timestamp(run.settled_at)}
    return {"status": "Healthy", "lastTransitionTime": timestamp(run.recovered_at)}


def operation_state(run: Run, *, now: float) -> dict[str, Any]:
    """Return the record of an operation that has begun."""
    state: dict[str, Any] = {
        "operation": run.operation,
        "phase": "Terminating" if run.is_terminated else "Running",
        "startedAt": timestamp(run.begun_at),
        "syncResult": {"revision": run.revision, "source": run.source},
    }
    if now < run.finished_at:
        early = [each for each in run.results if each["syncPhase"] == "PreSync"]
        if run.hook:
            state["message"] = f"waiting for completion of hook {run.hook}"
        if early and run.hook:
            state["syncResult"]["resources"] = early
        return state
    ended = {"phase": run.phase, "message": run.message, "finishedAt": timestamp(run.finished_at)}
    stopped = {"message": "Terminated", "hookPhase": "Failed"} if run.is_terminated else {}
    if run.results:
        state["syncResult"]["resources"] = [each | (stopped if each.get("hookType") else {}) for each in run.results]
    return state | ended


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

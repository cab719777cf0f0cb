"""The state of our sync, and whether the health that Argo CD shows is from after it.

operation                          running
operationState without an end      running       also one that has an end and waits for a retry
reconciledAt before finishedAt     ended, but sync and health are those of before
else                               what is shown is what the sync has made
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from worker.upstreams.argocd.causes import Cause, Failure, read_failure
from worker.upstreams.argocd.schemas import Object, Operation, OperationState, ResourceResult, Status, SyncResult
from worker.upstreams.error_text import cleaned

OPERATION_ID = "slipway-job"
Phase = Literal["absent", "running", "succeeded", "failed", "errored", "superseded"]
_ENDS: dict[str, Phase] = {"Succeeded": "succeeded", "Failed": "failed", "Error": "errored"}
_ENDS_BADLY = frozenset({"Failed", "Error"})


@dataclass(frozen=True, kw_only=True)
class SyncStatus:
    """The state of one sync. The texts are one line each, safe to show.

    `phase` is `absent` when there is no trace of any operation, `superseded` when there is only another's: ours was
    replaced, or never began. `failed`: something could not be applied; `errored`: Argo CD could not work; `failure`
    says why. `is_empty`: the chart described nothing, so nothing runs. `is_reconciled`: the last operation has ended,
    and Argo CD has read the cluster since; until then `sync_status`, `health_*` and `images` are from before it.
    `revision` is the commit that our sync applies, or, when it is not ours, the one that Argo CD compares with.
    `resources_messages` are of the resources that could not be applied and of the hooks that failed.
    """

    phase: Phase
    message: str = ""
    failure: Failure | None = None
    is_reconciled: bool = False
    is_empty: bool = False
    sync_status: str = ""
    health_status: str = ""
    health_message: str = ""
    revision: str = ""
    images: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    resources_messages: tuple[str, ...] = ()


def read_status(app: Object, operation_id: str) -> SyncStatus:
    """Return what an application shows of the operation that carries `operation_id`."""
    status = app.status
    state = status.operationState if app.operation is None else None
    result = state.syncResult if state and state.operation.has(OPERATION_ID, operation_id) else None
    return SyncStatus(
        phase=_phase(app, operation_id),
        message=cleaned(state.message) if state else "",
        failure=_failure(state),
        is_empty=_is_empty(status, result),
        is_reconciled=app.operation is None and _is_reconciled(status),
        sync_status=status.sync.status,
        health_status=status.health.status,
        health_message=cleaned(status.health.message or _why_unhealthy(status)),
        revision=(result.revision if result else "") or status.sync.revision,
        images=tuple(status.summary.images or ()),
        conditions=tuple(cleaned(f"{each.type}: {each.message}") for each in status.conditions or ()),
        resources_messages=tuple(cleaned(f"{each.kind} {each.name}: {each.message}") for each in _not_done(result)),
    )


def _why_unhealthy(status: Status) -> str:
    """Return the message of an object that is as unwell as the application: 3.5 gives the application none."""
    states = (each.health for each in status.resources or () if each.health is not None)
    return next((each.message for each in states if each.message and each.status == status.health.status), "")


def _failure(state: OperationState | None) -> Failure | None:
    """Read why an operation failed: from its message, or, as 2.14's names no reason, from those of its resources."""
    if state is None or state.phase not in _ENDS_BADLY:
        return None
    own = read_failure(state.message)
    failures = (own, *(read_failure(each.message) for each in _not_done(state.syncResult)))
    return next((each for each in failures if each.cause is not Cause.UNKNOWN), own)


def _not_done(result: SyncResult | None) -> list[ResourceResult]:
    """Return the resources that could not be applied, and the hooks that failed: those were applied."""
    resources = (result.resources if result else None) or ()
    return [each for each in resources if not each.is_done or each.hookPhase in _ENDS_BADLY]


def _is_empty(status: Status, result: SyncResult | None) -> bool:
    """Say whether there is no object of the chart, a hook apart: the namespace that the sync made is none."""
    has_hooks = any(each.hookType for each in (result.resources if result else None) or ())
    return not (status.resources or has_hooks)


def is_ours(app: Object, operation_id: str) -> bool:
    """Say whether the application's operation, under way or last ended, carries `operation_id`."""
    operation = _operation(app)
    return operation is not None and operation.has(OPERATION_ID, operation_id)


def _operation(app: Object) -> Operation | None:
    """Return the one under way: it is there before its state is, and replaces the last one's."""
    state = app.status.operationState
    return app.operation or (state.operation if state else None)


def _phase(app: Object, operation_id: str) -> Phase:
    if _operation(app) is None:
        return "absent"
    if not is_ours(app, operation_id):
        return "superseded"
    state = app.status.operationState
    if app.operation or state is None or state.finishedAt is None:
        return "running"
    return _ENDS.get(state.phase, "running")


def _is_reconciled(status: Status) -> bool:
    """Compare the times, which are whole seconds.

    Within one second they do not show which came first. After a success "Synced" does: until then the spec was ahead
    of the cluster. Otherwise the next comparison decides.
    """
    state, seen_at = status.operationState, status.reconciledAt
    if state is None or state.finishedAt is None or seen_at is None:
        return False
    if seen_at == state.finishedAt and state.phase == "Succeeded":
        return status.sync.status == "Synced"
    return seen_at >= state.finishedAt

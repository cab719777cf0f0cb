"""How a sync ends: which of its tasks the project allows and the cluster takes, in the order in which Argo CD asks.

A shared resource ends it first; then every task is checked, and one that is not allowed ends it before anything is
applied. Source: gitops-engine 3.5 `pkg/sync/sync_context.go`, argo-cd `controller/sync.go`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from harbour.argocd.manifests import (
    Manifest,
    group_of,
    hook_of,
    images_of,
    key_of,
    kind_of,
    name_of,
    namespace_of,
    tracking_of,
    version_of,
)
from harbour.argocd.project_rules import CLUSTER_KINDS, allows_destination, allows_kind

DONE = "successfully synced (all tasks run)"
NO_TASKS = "successfully synced (no more tasks)"
GROUPS = frozenset(
    {"", "apps", "batch", "autoscaling", "policy", "networking.k8s.io", "rbac.authorization.k8s.io", "storage.k8s.io"}
    | {"apiextensions.k8s.io", "admissionregistration.k8s.io", "coordination.k8s.io", "scheduling.k8s.io"}
    | {"discovery.k8s.io", "node.k8s.io", "apiregistration.k8s.io", "certificates.k8s.io", "events.k8s.io"}
)
"""API groups that a cluster has without any custom resource definition."""
Result = dict[str, Any]


@dataclass(kw_only=True)
class Sync:
    """What a sync would do: its application, project and place, its objects, and what is live at these."""

    application: str
    project: str
    rules: dict[str, Any]
    cluster: str
    server: str
    namespace: str
    manifests: list[Manifest]
    live: dict[str, Manifest]
    has_namespace: bool
    options: list[str] = field(default_factory=list)
    is_dry: bool = False
    injected: str = ""


@dataclass(kw_only=True)
class Outcome:
    """The end of a sync. `applied` are the objects that the cluster has afterwards."""

    phase: str = "Succeeded"
    message: str = DONE
    results: list[Result] = field(default_factory=list)
    applied: list[Manifest] = field(default_factory=list)


def outcome_of(sync: Sync) -> Outcome:
    """Return how a sync ends whose cluster can be reached and whose chart renders."""
    shared = shared_resources(sync.application, sync.manifests, sync.live)
    if shared and "FailOnSharedResource=true" in sync.options:
        return Outcome(phase="Failed", message=f"Shared resource found: {shared[0]}")
    tasks = [*_namespace_task(sync), *sync.manifests]
    refused = [(each, *reason) for each in tasks if (reason := _refusal(sync, each))]
    if refused:
        message = f"one or more synchronization tasks are not valid: {refused[0][1]}"
        results = [_result(sync, each, "SyncFailed", own) for each, _, own in refused]
        return Outcome(phase="Failed", message=message, results=results)
    return _applied(sync, tasks)


def shared_resources(application: str, manifests: list[Manifest], live: dict[str, Manifest]) -> list[str]:
    """Return a sentence for each object that another application has."""
    found = [(each, tracking_of(live[key_of(each)])) for each in manifests if key_of(each) in live]
    return [
        f"{kind_of(each)}/{name_of(each)} is part of applications argocd/{application} and {other}"
        for each, other in found
        if other not in ("", application)
    ]


def is_known_kind(manifest: Manifest) -> bool:
    return group_of(manifest) in GROUPS


def _namespace_task(sync: Sync) -> list[Manifest]:
    if "CreateNamespace=true" not in sync.options or sync.has_namespace or sync.is_dry:
        return []
    return [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": sync.namespace}}]


def _refusal(sync: Sync, task: Manifest) -> tuple[str, str] | None:
    """Return why a task is not valid, for the whole sync and for the task itself."""
    group, kind = group_of(task), kind_of(task)
    if not is_known_kind(task):
        version = f"{group}/{version_of(task)}"
        reason = f"failed to discover server resources for group version {version}"
        own = f"The Kubernetes API could not find {group}/{kind} for requested resource {namespace_of(task)}"
        hint = f'Make sure the "{kind}" CRD is installed on the destination cluster.'
        missing = "the server could not find the requested resource"
        return f"{reason}: {missing}", f"{own}/{name_of(task)}. {hint}"
    if not allows_kind(sync.rules, group=group, kind=kind, name=name_of(task)):
        reason = f"resource {group}:{kind} is not permitted in project {sync.project}"
        return reason, reason
    namespace = namespace_of(task)
    is_inside = allows_destination(sync.rules, name=sync.cluster, server=sync.server, namespace=namespace)
    if kind not in CLUSTER_KINDS and not is_inside:
        reason = f"namespace {namespace} is not permitted in project '{sync.project}'"
        return reason, reason
    return None


def _applied(sync: Sync, tasks: list[Manifest]) -> Outcome:
    outcome = Outcome(message=DONE if sync.manifests and not sync.is_dry else NO_TASKS)
    for task in tasks:
        problem = _invalid(task) or (sync.injected if sync.manifests and task is sync.manifests[-1] else "")
        if problem:
            outcome.phase = "Failed"
            outcome.message = f"one or more objects failed to apply, reason: {problem}"
            outcome.results.append(_result(sync, task, "SyncFailed", problem) | {"hookPhase": "Failed"})
            continue
        message = f"{_plural(task)}/{name_of(task)} {_verb(sync, task)}"
        phase = "Succeeded" if sync.is_dry else "Running"
        outcome.results.append(_result(sync, task, "Synced", message) | {"hookPhase": phase})
        if not sync.is_dry and not hook_of(task):
            outcome.applied.append(task)
    if sync.injected and not sync.manifests:
        outcome.phase, outcome.message = "Failed", f"one or more objects failed to apply, reason: {sync.injected}"
    return outcome


def _verb(sync: Sync, task: Manifest) -> str:
    there = sync.live.get(key_of(task))
    verb = "created" if there is None else "unchanged" if there == task else "configured"
    return f"{verb} (dry run)" if sync.is_dry else verb


def _plural(task: Manifest) -> str:
    group = group_of(task)
    return f"{kind_of(task).lower()}{'.' if group else ''}{group}"


def _invalid(task: Manifest) -> str:
    """Return why the Kubernetes API refuses an object; it asks more than this."""
    if kind_of(task) != "Deployment":
        return ""
    spec = task.get("spec") or {}
    problems = [] if spec.get("selector") else ["spec.selector: Required value"]
    if not spec.get("selector"):
        mismatch = "`selector` does not match template `labels`"
        problems.append(f"spec.template.metadata.labels: Invalid value: null: {mismatch}")
    if not ((spec.get("template") or {}).get("spec") or {}).get("containers"):
        problems.append("spec.template.spec.containers: Required value")
    return f'Deployment.apps "{name_of(task)}" is invalid: [{", ".join(problems)}]' if problems else ""


def _result(sync: Sync, task: Manifest, status: str, message: str) -> Result:
    hook, is_namespace = hook_of(task), kind_of(task) == "Namespace" and not tracking_of(task)
    namespace = "" if is_namespace else namespace_of(task) or sync.namespace
    result: Result = {
        "group": group_of(task),
        "version": version_of(task),
        "kind": kind_of(task),
        "namespace": namespace,
        "name": name_of(task),
        "status": status,
        "message": message,
        "syncPhase": hook or ("PreSync" if is_namespace else "Sync"),
    }
    images = images_of(task)
    return result | ({"hookType": hook} if hook else {}) | ({"images": images} if images else {})

"""The rules of a project: which sources, destinations and kinds of objects its applications may have.

Source: argo-cd 3.5 `pkg/apis/application/v1alpha1/app_project_types.go`, `util/glob`.
"""

from __future__ import annotations

import re
from typing import Any

Spec = dict[str, Any]
CLUSTER_KINDS = frozenset(
    {"Namespace", "Node", "PersistentVolume", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"}
    | {"StorageClass", "PriorityClass", "IngressClass", "RuntimeClass", "APIService", "CSIDriver"}
    | {"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"}
)
"""Kinds without a namespace."""


def everything_allowed() -> Spec:
    """Return the project `default`, as Argo CD makes it."""
    return {
        "sourceRepos": ["*"],
        "destinations": [{"namespace": "*", "server": "*"}],
        "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
    }


def project_spec(cluster: str, namespace: str) -> Spec:
    """Return a project that is set up for a team: every repository, the namespaces of its pattern on its cluster."""
    return {
        "sourceRepos": ["*"],
        "destinations": [{"namespace": namespace, "name": cluster}],
        "clusterResourceWhitelist": [{"group": "", "kind": "Namespace"}],
    }


def allows_source(project: Spec, url: str) -> bool:
    patterns = [str(each).lower() for each in project.get("sourceRepos") or ()]
    if any(_matches(each[1:], url.lower(), "/") for each in patterns if each.startswith("!")):
        return False
    return any(_matches(each, url.lower(), "/") for each in patterns if not each.startswith("!"))


def allows_destination(project: Spec, *, name: str, server: str, namespace: str) -> bool:
    """Say whether a rule names the cluster, by name or server, and the namespace; a rule with `!` forbids."""
    found = False
    for rule in project.get("destinations") or ():
        by_name, by_server = rule.get("name", ""), rule.get("server", "")
        is_there = _permits(by_name, name) or _permits(by_server, server)
        is_inside = _permits(rule.get("namespace", ""), namespace)
        found = found or (is_there and is_inside)
        is_denied_place = any(each.startswith("!") for each in (by_name, by_server)) and not is_there
        is_denied_space = str(rule.get("namespace", "")).startswith("!") and not is_inside and is_there
        if (is_denied_place and is_inside) or is_denied_space:
            return False
    return found


def allows_kind(project: Spec, *, group: str, kind: str, name: str) -> bool:
    """Say whether the project allows an object. Without a list every kind with a namespace is allowed, and no other."""
    scope = "cluster" if kind in CLUSTER_KINDS else "namespace"
    allowed = project.get(f"{scope}ResourceWhitelist") or ()
    denied = project.get(f"{scope}ResourceBlacklist") or ()
    is_allowed = scope == "namespace" if not allowed else _is_in(allowed, group, kind, name)
    return is_allowed and not _is_in(denied, group, kind, name)


def _is_in(rules: Any, group: str, kind: str, name: str) -> bool:
    return any(
        _matches(rule.get("group", ""), group)
        and _matches(rule.get("kind", ""), kind)
        and (not rule.get("name") or _matches(rule["name"], name))
        for rule in rules
    )


def _permits(pattern: str, value: str) -> bool:
    """Match one part of a destination; `!` in front of a pattern turns it round."""
    return not _matches(pattern[1:], value) if pattern.startswith("!") else _matches(pattern, value)


def _matches(pattern: str, value: str, separator: str = "") -> bool:
    """Match a glob whose `*` stops at the separator; a pattern `*` matches everything."""
    one = f"[^{separator}]" if separator else "."
    expression = re.escape(pattern).replace(r"\*", f"{one}*").replace(r"\?", one)
    return pattern == "*" or re.fullmatch(expression, value) is not None

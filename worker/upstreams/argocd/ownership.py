"""Whose the objects are that a first sync would change.

Argo CD applies a chart over whatever the cluster has under the same names, and from then on deletes it with the
application. It knows an application's objects by a tracking id, an annotation. Before 3.0 it goes by the label
`app.kubernetes.io/instance`, which releases of helm carry, too: the label proves nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from worker.upstreams.argocd.schemas import ManagedResource, Object

TRACKING_ID = "argocd.argoproj.io/tracking-id"
_SHOWN = 3


def may_be_live(app: Object) -> bool:
    """Say whether the cluster has any object of the chart; False only when Argo CD says of each that it is missing."""
    resources = app.status.resources or []
    return any(each.health is None or each.health.status != "Missing" for each in resources)


def foreign(items: Iterable[ManagedResource], *, application: str, namespace: str | None) -> list[str]:
    """Return which objects exist and are not the application's, as people name them.

    Another application of Argo CD may have them, or nobody that Argo CD knows.
    """
    instance = f"{namespace}_{application}" if namespace else application
    return [_named(each) for each in items if _exists(each) and not _is_ours(each, instance)]


def listed(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _exists(item: ManagedResource) -> bool:
    return item.liveState not in ("", "null")


def _is_ours(item: ManagedResource, instance: str) -> bool:
    """Compare the ids; without one in the chart, only whose it is: the rest of it depends on Argo CD's version."""
    live, target = _tracking_id(item.liveState), _tracking_id(item.targetState)
    return live == target if target else live.partition(":")[0] == instance


def _tracking_id(state: str) -> str:
    try:
        return str(json.loads(state)["metadata"]["annotations"][TRACKING_ID])
    except (KeyError, TypeError, ValueError, RecursionError):
        return ""


def _named(item: ManagedResource) -> str:
    place = f" in the namespace {item.namespace}" if item.namespace else ""
    return f"{item.kind} {item.name}{place}"

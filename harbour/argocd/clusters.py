"""What lives on the clusters: objects that syncs applied, and those that somebody else made.

An object belongs to the application that its tracking id names; without one it is somebody else's, and a sync takes it
over all the same. A namespace that a sync makes carries no tracking id and outlives the application.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

from harbour.argocd.checks import ArgoCDChecks
from harbour.argocd.core import timestamp
from harbour.argocd.manifests import Manifest, key_of, tracking_of
from harbour.argocd.project_rules import Spec
from harbour.config import HarbourConfig

SYSTEM_NAMESPACES = frozenset({"default", "kube-system", "kube-public", "kube-node-lease"})
Live = dict[str, Any]
"""`manifest`, as it was applied; `uid`, `created_at` and `version`; `is_foreign` when no sync made it."""


class ArgoCDClusters(ArgoCDChecks):
    """The live objects of each cluster, by what names them there."""

    def __init__(self, config: HarbourConfig, now: Callable[[], float] = time.time) -> None:
        super().__init__(config, now)
        self.live: dict[str, dict[str, Live]] = {}
        self.version = 0  # of the last write to any object

    def live_on(self, cluster: str) -> dict[str, Live]:
        return self.live.setdefault(cluster, {})

    def put_live(self, cluster: str, manifest: Manifest, *, is_foreign: bool = False) -> None:
        """Create or change an object; its identity stays."""
        self.version += 1
        key = key_of(manifest)
        old = self.live_on(cluster).get(key)
        known = old or {"uid": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{cluster}/{key}")), "created_at": self.now()}
        kept = {"uid": known["uid"], "created_at": known["created_at"]}
        self.live_on(cluster)[key] = kept | {"manifest": manifest, "version": self.version, "is_foreign": is_foreign}

    def has_namespace(self, cluster: str, namespace: str) -> bool:
        """Say whether a namespace is there; every object is in one that is."""
        rows = (each["manifest"] for each in self.live_on(cluster).values())
        names = {row["metadata"].get("namespace") for row in rows}
        return namespace in SYSTEM_NAMESPACES | names or f"/Namespace:/{namespace}" in self.live_on(cluster)

    def tracked_by(self, application: str, cluster: str) -> dict[str, Live]:
        rows = self.live_on(cluster).items()
        return {key: each for key, each in rows if tracking_of(each["manifest"]) == application}

    def drop_tracked(self, application: str, cluster: str) -> None:
        """Remove what an application has, as its deletion does."""
        for key in self.tracked_by(application, cluster):
            del self.live_on(cluster)[key]

    def server_and_cluster(self, spec: Spec) -> tuple[str, str]:
        """Return the server and the name of an application's cluster, "" for one that is not known any more."""
        cluster = self.cluster_of(spec["destination"])
        return self.clusters().get(cluster, ""), cluster

    @property
    def live_objects(self) -> list[dict[str, Any]]:
        """Return what somebody else made: `cluster` and `manifest` of each object."""
        rows = ((cluster, each) for cluster, objects in sorted(self.live.items()) for each in objects.values())
        return [{"cluster": cluster, "manifest": each["manifest"]} for cluster, each in rows if each["is_foreign"]]

    @live_objects.setter
    def live_objects(self, wanted: list[dict[str, Any]]) -> None:
        """Replace what somebody else made."""
        for objects in self.live.values():
            for key in [key for key, each in objects.items() if each["is_foreign"]]:
                del objects[key]
        for each in wanted:
            self.put_live(each["cluster"], each["manifest"], is_foreign=True)


def live_manifest(live: Live) -> Manifest:
    """Return an object as the Kubernetes API shows it: with the fields that it adds."""
    metadata = live["manifest"]["metadata"] | {
        "creationTimestamp": timestamp(live["created_at"]),
        "resourceVersion": str(live["version"]),
        "uid": live["uid"],
    }
    shown: Manifest = live["manifest"] | {"metadata": metadata}
    return shown


def is_live_objects(value: object) -> bool:
    """Say whether a value is a list of clusters and manifests."""
    return isinstance(value, list) and all(
        isinstance(each, dict)
        and isinstance(each.get("cluster"), str)
        and isinstance(each.get("manifest"), dict)
        and isinstance(each["manifest"].get("kind"), str)
        and isinstance(each["manifest"].get("metadata"), dict)
        for each in value
    )

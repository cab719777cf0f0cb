"""Stored applications, and their comparison with requests.

Unknown fields are ignored, and empty values are not stored. An empty list in a request therefore never equals its
stored value: the same body sent twice may be "different".
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from harbour.argocd.core import INVALID, ApiError, object_in
from harbour.argocd.runs import Run

Spec = dict[str, Any]
Shape = dict[str, Any]
"""Known fields: None is stored unchanged, a dict is an object, a list of one dict a list of objects."""

POINTERS = frozenset({"prune", "selfHeal", "enabled"})
"""Fields in which an explicit `false` differs from an absent value."""
MAPS = frozenset({"labels", "annotations"})
HISTORY = 10

_HELM: Shape = {
    "releaseName": None,
    "values": None,
    "valuesObject": None,
    "valueFiles": None,
    "parameters": [{"name": None, "value": None, "forceString": None}],
    "fileParameters": [{"name": None, "path": None}],
    "version": None,
    "passCredentials": None,
    "ignoreMissingValueFiles": None,
    "skipCrds": None,
    "skipSchemaValidation": None,
    "skipTests": None,
    "kubeVersion": None,
    "apiVersions": None,
    "namespace": None,
}
_SOURCE: Shape = {
    **dict.fromkeys(("repoURL", "path", "chart", "targetRevision", "ref", "name", "kustomize", "directory", "plugin")),
    "helm": _HELM,
}
_SYNC_POLICY: Shape = {
    "automated": dict.fromkeys(("prune", "selfHeal", "allowEmpty", "enabled")),
    "syncOptions": None,
    "retry": {"limit": None, "refresh": None, "backoff": dict.fromkeys(("duration", "factor", "maxDuration"))},
    "managedNamespaceMetadata": {"labels": None, "annotations": None},
}
_SPEC: Shape = {
    "project": None,
    "source": _SOURCE,
    "sources": [_SOURCE],
    "destination": dict.fromkeys(("server", "name", "namespace")),
    "syncPolicy": _SYNC_POLICY,
    "ignoreDifferences": None,
    "info": None,
    "revisionHistoryLimit": None,
    "sourceHydrator": None,
}


@dataclass(kw_only=True)
class Wanted:
    """An application as a request describes it."""

    name: str
    namespace: str
    spec: Spec
    labels: dict[str, str] | None
    annotations: dict[str, str] | None
    finalizers: list[str] | None


@dataclass(kw_only=True)
class Application:
    """An application as it is stored. Times are seconds since 1970.

    `targets` are the objects of its chart as they were last rendered, `problem` is why they do not render, `away` why
    its cluster could not be read at the last comparison, `invalid_at` when the controller last missed its project.
    `gone_at` is the end of its deletion.
    """

    name: str
    uid: str
    spec: Spec
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    finalizers: list[str] = field(default_factory=list)
    generation: int = 1
    resource_version: int = 0
    created_at: float = 0.0
    reconciled_at: float = 0.0
    deleted_at: float | None = None
    gone_at: float = 0.0
    invalid_at: float | None = None
    revision: str = ""
    targets: list[dict[str, Any]] = field(default_factory=list)
    source_type: str = "Helm"
    problem: str = ""
    away: str = ""
    runs: list[Run] = field(default_factory=list)

    @classmethod
    def restored(cls, kept: dict[str, Any]) -> Application:
        """Return the application of which `kept` returned `asdict`'s values."""
        return cls(**kept | {"runs": [Run(**run) for run in kept.get("runs", [])]})

    def kept(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def project(self) -> str:
        return str(self.spec["project"])

    @property
    def is_unknown(self) -> bool:
        """Say whether the last comparison failed."""
        return bool(self.problem or self.away)

    @property
    def is_automated(self) -> bool:
        automated = self.spec.get("syncPolicy", {}).get("automated")
        return automated is not None and automated.get("enabled", True)

    def running(self, now: float) -> Run | None:
        """Return the operation that is not over."""
        return self.runs[-1] if self.runs and now < self.runs[-1].finished_at else None

    def deployed(self, now: float) -> list[Run]:
        """Return the operations that deployed something, as the history lists them."""
        return [run for run in self.runs if run.has_deployed(now)][-HISTORY:]

    def live(self, now: float) -> Run | None:
        """Return the operation whose result the status shows: shortly after an operation it is still an older one."""
        return next((run for run in reversed(self.deployed(now)) if run.reconciled_at <= now), None)

    def begin(self, run: Run) -> None:
        """Add an operation, and drop those that neither the status nor the history shows any more."""
        self.runs = [*self.deployed(run.asked_at), run]

    def reconcile(self, now: float) -> None:
        """Compare now, without waiting for the controller."""
        self.reconciled_at = now
        if self.runs and self.runs[-1].finished_at <= now:
            self.runs[-1].reconcile(now)

    def delay(self, until: float, *, after: float) -> None:
        """Move to `until` and beyond what the controller, stopped at `after`, has not done."""
        for run in self.runs:
            run.delay(until - max(after, run.asked_at), after=after)
        if self.reconciled_at > after:
            self.reconciled_at += until - max(after, self.created_at)
        if self.deleted_at is not None and self.gone_at > after:
            self.gone_at += until - max(after, self.deleted_at)

    def equals(self, wanted: Wanted) -> bool:
        """Compare with the stored values as Go's DeepEqual does: an empty value is stored as absent."""
        mine = (self.spec, self.labels or None, self.annotations or None, self.finalizers or None)
        return mine == (wanted.spec, wanted.labels, wanted.annotations, wanted.finalizers)


def wanted_in(body: dict[str, Any]) -> Wanted:
    """Return the application in a request's body; an `operation` in it is ignored."""
    metadata = object_in(body.get("metadata"), "metadata")
    return Wanted(
        name=str(metadata.get("name") or ""),
        namespace=str(metadata.get("namespace") or ""),
        spec=spec_in(body.get("spec")),
        labels=metadata.get("labels"),
        annotations=metadata.get("annotations"),
        finalizers=metadata.get("finalizers"),
    )


def spec_in(value: Any) -> Spec:
    """Return the decoded spec: known fields, no zero values, always a project."""
    spec: Spec = _decoded(object_in(value, "spec"), _SPEC)
    spec.setdefault("project", "default")
    for source in (spec.get("source", {}), *spec.get("sources", [])):
        if source.get("helm") == {}:
            del source["helm"]
    return spec


def stored(value: Any) -> Any:
    """Return the value as stored: without empty lists and maps, with empty objects."""
    if isinstance(value, list):
        return [stored(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {key: stored(each) for key, each in value.items() if each != [] and not (key in MAPS and each == {})}


def _decoded(value: Any, shape: Any) -> Any:
    if shape is None or value is None:
        return value
    if isinstance(shape, list):
        if not isinstance(value, list):
            raise ApiError(INVALID, "json: cannot unmarshal into Go value of type []object")
        return [_decoded(each, shape[0]) for each in value]
    known = {key: _decoded(each, shape[key]) for key, each in object_in(value, "object").items() if key in shape}
    return {key: each for key, each in known.items() if each or isinstance(each, dict | list) or _is_set(key, each)}


def _is_set(key: str, value: Any) -> bool:
    return key in POINTERS and value is not None

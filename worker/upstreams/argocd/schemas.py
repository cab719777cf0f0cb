"""What we read of Argo CD's objects.

The fields have its own names. It omits what is empty, so everything that can be is optional.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime

from worker.upstreams.argocd.manifest import Spec, checked_spec


@dataclass(frozen=True, kw_only=True)
class Metadata:
    name: str
    uid: str
    namespace: str = ""
    annotations: dict[str, str] | None = None
    deletionTimestamp: str | None = None  # noqa: N815 - Kubernetes' word


@dataclass(frozen=True, kw_only=True)
class Info:
    """A note that the requester attached to an operation."""

    name: str = ""
    value: str = ""


@dataclass(frozen=True, kw_only=True)
class Operation:
    info: list[Info] | None = None

    def has(self, name: str, value: str) -> bool:
        return Info(name=name, value=value) in (self.info or [])


@dataclass(frozen=True, kw_only=True)
class ResourceResult:
    kind: str = ""
    name: str = ""
    status: str = ""
    message: str = ""
    hookType: str = ""  # noqa: N815 - Argo CD's word
    hookPhase: str = ""  # noqa: N815 - as above

    @property
    def is_done(self) -> bool:
        return self.status in ("Synced", "Pruned")

    @property
    def is_of_chart(self) -> bool:
        """Say whether Argo CD tracks it: neither a hook nor the namespace, which `CreateNamespace` makes."""
        return not self.hookType and self.kind != "Namespace"


@dataclass(frozen=True, kw_only=True)
class SyncResult:
    revision: str = ""
    resources: list[ResourceResult] | None = None


@dataclass(frozen=True, kw_only=True)
class OperationState:
    operation: Operation = Operation()
    phase: str = ""
    message: str = ""
    finishedAt: AwareDatetime | None = None  # noqa: N815 - Argo CD's word
    syncResult: SyncResult | None = None  # noqa: N815 - as above


@dataclass(frozen=True, kw_only=True)
class Sync:
    status: str = ""
    revision: str = ""


@dataclass(frozen=True, kw_only=True)
class Health:
    status: str = ""
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class Summary:
    images: list[str] | None = None


@dataclass(frozen=True, kw_only=True)
class Condition:
    type: str
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class LiveResource:
    """An object of the chart; its health is "Missing" while the cluster has none of that name."""

    kind: str = ""
    name: str = ""
    health: Health | None = None


@dataclass(frozen=True, kw_only=True)
class Status:
    sync: Sync = Sync()
    health: Health = Health()
    summary: Summary = Summary()
    reconciledAt: AwareDatetime | None = None  # noqa: N815 - Argo CD's word
    operationState: OperationState | None = None  # noqa: N815 - as above
    conditions: list[Condition] | None = None
    resources: list[LiveResource] | None = None
    history: list[dict[str, Any]] | None = None


@dataclass(frozen=True, kw_only=True)
class Object:
    """An application as Argo CD shows it. `operation` is there from the request for one to its end."""

    metadata: Metadata
    spec: Annotated[Spec, AfterValidator(checked_spec)]
    operation: Operation | None = None
    status: Status = Status()

    @property
    def has_applied(self) -> bool:
        """Say whether a sync of it may have applied something: one under way, a good one, or a part of a bad one."""
        state = self.status.operationState
        if self.operation or self.status.history or (state and state.phase not in ("Failed", "Error")):
            return True
        results = (state.syncResult.resources if state and state.syncResult else None) or ()
        return any(each.is_done and each.is_of_chart for each in results)

    @property
    def is_compared(self) -> bool:
        """Say whether Argo CD shows what the cluster has of the chart."""
        return self.status.reconciledAt is not None and self.status.sync.status in ("Synced", "OutOfSync")


@dataclass(frozen=True, kw_only=True)
class Objects:
    items: list[Object] | None = None


@dataclass(frozen=True, kw_only=True)
class Registration:
    """A repository; `project` when it is of one project only. `inheritedCreds`: a template serves it."""

    repo: str
    project: str | None = None
    inheritedCreds: bool = False  # noqa: N815 - Argo CD's word


@dataclass(frozen=True, kw_only=True)
class Registrations:
    items: list[Registration] | None = None


@dataclass(frozen=True, kw_only=True)
class Template:
    """Credentials of all repositories whose addresses begin with `url`."""

    url: str
    username: str = ""


@dataclass(frozen=True, kw_only=True)
class Templates:
    items: list[Template] | None = None


@dataclass(frozen=True, kw_only=True)
class ManagedResource:
    """An object of the chart as it is on the cluster and as it would be, each as JSON text.

    The texts may hold secrets: they are read for their annotations, and neither shown nor kept.
    """

    group: str = ""
    kind: str = ""
    namespace: str = ""
    name: str = ""
    liveState: str = field(default="", repr=False)  # noqa: N815 - Argo CD's word
    targetState: str = field(default="", repr=False)  # noqa: N815 - as above


@dataclass(frozen=True, kw_only=True)
class ManagedResources:
    items: list[ManagedResource] | None = None

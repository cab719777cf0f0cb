"""What we read of Jenkins' JSON about builds, and what the steps get of it.

Schemas are Jenkins', the other classes are results of ours. Its lists hold `{}` where a plugin shows nothing, and leave
out what is not true yet: an item has `cancelled` and `executable` only once it has left the queue.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

_TEXTS = frozenset({"StringParameterDefinition", "TextParameterDefinition"})
_LONGEST_MS = 2**53
QueueState = Literal["waiting", "blocked", "buildable", "left", "cancelled", "gone"]


@dataclass(frozen=True)
class ParameterSchema:
    name: str
    value: Any = None  # a password has none


@dataclass(frozen=True)
class ActionSchema:
    parameters: list[ParameterSchema] | None = None


@dataclass(frozen=True, kw_only=True)
class _WithActions:
    actions: list[ActionSchema] = field(default_factory=list)

    @property
    def parameters(self) -> dict[str, Any] | None:
        """Return the parameters by name, None while none are attached."""
        attached = [action.parameters for action in self.actions if action.parameters is not None]
        return {each.name: each.value for group in attached for each in group} if attached else None

    def has(self, key: str, value: str) -> bool:
        return (self.parameters or {}).get(key) == value


@dataclass(frozen=True)
class TaskSchema:
    url: str | None = None  # not every task in the queue is a job


@dataclass(frozen=True, kw_only=True)
class WaitingSchema(_WithActions):
    id: int
    task: TaskSchema = TaskSchema()


@dataclass(frozen=True)
class Queue:
    items: list[WaitingSchema]


@dataclass(frozen=True, kw_only=True)
class StartedSchema(_WithActions):
    number: int
    queueId: int  # noqa: N815 - Jenkins' word
    building: bool


@dataclass(frozen=True)
class BuildList:
    builds: list[StartedSchema]


@dataclass(frozen=True)
class DefinitionSchema:
    name: str
    type: str = "StringParameterDefinition"


@dataclass(frozen=True)
class PropertySchema:
    parameterDefinitions: list[DefinitionSchema] | None = None  # noqa: N815 - Jenkins' word


@dataclass(frozen=True)
class JobSchema:
    buildable: bool = False
    properties: Annotated[list[PropertySchema], Field(alias="property")] = field(default_factory=list)

    def lacks(self, names: set[str]) -> list[str]:
        """Return which of `names` are no parameters that take any text."""
        declared = {
            each.name for entry in self.properties for each in entry.parameterDefinitions or () if each.type in _TEXTS
        }
        return sorted(names - declared)


@dataclass(frozen=True)
class NumberSchema:
    number: int


@dataclass(frozen=True, kw_only=True)
class QueueItemSchema:
    kind: Annotated[str, Field(alias="_class")]
    why: str | None = None
    stuck: bool = False
    cancelled: bool = False
    executable: NumberSchema | None = None


@dataclass(frozen=True)
class RevisionSchema:
    SHA1: str  # Jenkins' word


@dataclass(frozen=True, kw_only=True)
class SourceSchema:
    """An action of a build; the git plugin's `BuildData` has both."""

    lastBuiltRevision: RevisionSchema | None = None  # noqa: N815 - Jenkins' word
    remoteUrls: list[str] | None = None  # noqa: N815 - Jenkins' word


@dataclass(frozen=True, kw_only=True)
class BuildSchema:
    number: int
    url: str
    queueId: int  # noqa: N815 - Jenkins' word
    building: bool
    inProgress: bool = False  # noqa: N815 - Jenkins' word; since 2.369
    result: str | None = None
    duration: Annotated[int, Field(le=_LONGEST_MS)] = 0
    description: str | None = None
    actions: list[SourceSchema] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class BuildSearch:
    """Where a build was found. `is_unclear`: nowhere, but a build has just begun that may be the one."""

    queue_id: int | None = None
    number: int | None = None
    is_unclear: bool = False


@dataclass(frozen=True, kw_only=True)
class QueueItem:
    """A queue item. `why` is Jenkins' reason for waiting; `number` its build's, which may come after `left`."""

    state: QueueState
    why: str = ""
    number: int | None = None
    is_stuck: bool = False


@dataclass(frozen=True, kw_only=True)
class Build:
    """A build. `url` is Jenkins' own; `result` is None and `duration_s` 0 until it has ended.

    `commits` maps the address of each repository that it has checked out to the commit.
    """

    number: int
    url: str
    is_running: bool
    result: str | None
    duration_s: float
    queue_id: int
    description: str = ""
    commits: Mapping[str, str] = field(default_factory=dict)


def queue_item_of(item: QueueItemSchema) -> QueueItem:
    number = item.executable.number if item.executable else None
    return QueueItem(state=_state_of(item), why=item.why or "", number=number, is_stuck=item.stuck)


def _state_of(item: QueueItemSchema) -> QueueState:
    match item.kind.rpartition("$")[2]:
        case "WaitingItem":
            return "waiting"
        case "BlockedItem":
            return "blocked"
        case "LeftItem":
            return "cancelled" if item.cancelled else "left"
        case _:
            return "buildable"


def build_of(build: BuildSchema, *, url: str) -> Build:
    """A pipeline may set its result while it runs: only the end makes it one. `url`: where people find it."""
    is_running = build.building or build.inProgress
    return Build(
        number=build.number,
        url=url,
        is_running=is_running,
        result=None if is_running else build.result,
        duration_s=build.duration / 1000,
        queue_id=build.queueId,
        description=build.description or "",
        commits={
            url: action.lastBuiltRevision.SHA1
            for action in build.actions
            if action.lastBuiltRevision
            for url in action.remoteUrls or ()
        },
    )

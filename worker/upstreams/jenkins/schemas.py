"""What do we read out of Jenkins' answers about builds, and what do the steps get of it?

Rows are Jenkins', results are ours. Its lists hold `{}` where a plugin shows nothing, and leave out what is not so yet:
an item has `cancelled` and `executable` only once it has left the queue.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

QueueState = Literal["waiting", "blocked", "buildable", "left", "cancelled", "gone"]


@dataclass(frozen=True)
class ParameterRow:
    name: str
    value: Any = None  # a password has none


@dataclass(frozen=True)
class ActionRow:
    parameters: list[ParameterRow] | None = None


@dataclass(frozen=True, kw_only=True)
class _WithActions:
    actions: list[ActionRow] = field(default_factory=list)

    @property
    def parameters(self) -> dict[str, Any] | None:
        """Return the parameters by name, None while none are attached."""
        attached = [action.parameters for action in self.actions if action.parameters is not None]
        return {row.name: row.value for rows in attached for row in rows} if attached else None

    def has(self, key: str, value: str) -> bool:
        return (self.parameters or {}).get(key) == value


@dataclass(frozen=True)
class TaskRow:
    url: str | None = None  # not every task in the queue is a job


@dataclass(frozen=True, kw_only=True)
class WaitingRow(_WithActions):
    id: int
    task: TaskRow = TaskRow()


@dataclass(frozen=True)
class Queue:
    items: list[WaitingRow]


@dataclass(frozen=True, kw_only=True)
class StartedRow(_WithActions):
    number: int
    queueId: int  # noqa: N815 - Jenkins' word
    building: bool


@dataclass(frozen=True)
class BuildList:
    builds: list[StartedRow]


@dataclass(frozen=True)
class DefinitionRow:
    name: str


@dataclass(frozen=True)
class PropertyRow:
    parameterDefinitions: list[DefinitionRow] | None = None  # noqa: N815 - Jenkins' word


@dataclass(frozen=True)
class JobRow:
    buildable: bool = False
    properties: Annotated[list[PropertyRow], Field(alias="property")] = field(default_factory=list)

    @property
    def declared(self) -> set[str]:
        return {row.name for entry in self.properties for row in entry.parameterDefinitions or ()}


@dataclass(frozen=True)
class NumberRow:
    number: int


@dataclass(frozen=True, kw_only=True)
class QueueItemRow:
    kind: Annotated[str, Field(alias="_class")]
    why: str | None = None
    stuck: bool = False
    cancelled: bool = False
    executable: NumberRow | None = None


@dataclass(frozen=True, kw_only=True)
class BuildRow:
    number: int
    url: str
    queueId: int  # noqa: N815 - Jenkins' word
    building: bool
    inProgress: bool = False  # noqa: N815 - Jenkins' word; since 2.369
    result: str | None = None
    duration: int = 0


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """Where a build was seen. `is_unclear`: nowhere, but a build has just begun that may be the one."""

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
    """A build. `url` is Jenkins' own; `result` is None and `duration_s` 0 until it has ended."""

    number: int
    url: str
    is_running: bool
    result: str | None
    duration_s: float
    queue_id: int


def queue_item_of(row: QueueItemRow) -> QueueItem:
    number = row.executable.number if row.executable else None
    return QueueItem(state=_state_of(row), why=row.why or "", number=number, is_stuck=row.stuck)


def _state_of(row: QueueItemRow) -> QueueState:
    match row.kind.rpartition("$")[2]:
        case "WaitingItem":
            return "waiting"
        case "BlockedItem":
            return "blocked"
        case "LeftItem":
            return "cancelled" if row.cancelled else "left"
        case _:
            return "buildable"


def build_of(row: BuildRow) -> Build:
    """A pipeline may set its result while it runs: only the end makes it one."""
    is_running = row.building or row.inProgress
    return Build(
        number=row.number,
        url=row.url,
        is_running=is_running,
        result=None if is_running else row.result,
        duration_s=row.duration / 1000,
        queue_id=row.queueId,
    )

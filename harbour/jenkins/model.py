"""Records of queue items and builds.

Both are written once, when the executor is known; their state at any time follows from their times.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

LEFT_ITEM_KEPT_S = 5 * 60
Parameters = list[dict[str, Any]]
"""Parameters in Jenkins' JSON: `_class`, `name`, `value`. A password's value is not kept."""


@dataclass(kw_only=True)
class QueueItem:
    """`due_at` is the end of the quiet period, `left_at` when it leaves the queue, None until that is known."""

    id: int
    job: str
    parameters: Parameters
    user: str
    since_at: float
    due_at: float
    left_at: float | None = None
    number: int | None = None
    cancelled: bool = False

    def is_queued(self, now: float) -> bool:
        return self.left_at is None or now < self.left_at

    def is_pending(self, now: float) -> bool:
        """Return whether an executor is assigned and the item has not left the queue."""
        return self.left_at is not None and now < self.left_at

    def is_forgotten(self, now: float) -> bool:
        return self.left_at is not None and now >= self.left_at + LEFT_ITEM_KEPT_S


@dataclass(kw_only=True)
class Build:
    """A build. It becomes visible at `shown_at`, its parameters and its log at `attached_at`.

    It stops building at `ends_at` and is over at `over_at`, which frees its executor. `outcome` is how it will end.
    `lines` is the whole console, `checkouts` has the URL, branch and commit of each source, `images` maps what it
    pushes, at its end, to the commit.
    """

    job: str
    number: int
    queue_id: int
    parameters: Parameters
    user: str
    repository: str
    credential: str
    script: str
    branch: str
    started_at: float
    shown_at: float
    attached_at: float
    ends_at: float
    over_at: float
    planned_s: float
    outcome: str
    lines: list[str] = field(default_factory=list)
    description: str | None = None
    checkouts: list[dict[str, str]] = field(default_factory=list)
    images: dict[str, str | None] = field(default_factory=dict)
    has_pushed: bool = False
    aborted_at: float | None = None
    aborted_by: str = ""

    def is_building(self, now: float) -> bool:
        return now < self.ends_at

    def is_in_progress(self, now: float) -> bool:
        return now < self.over_at

    def result(self, now: float) -> str | None:
        """Return the result as a client sees it: a failing pipeline has one long before it ends."""
        goes_wrong = self.outcome in ("UNSTABLE", "FAILURE") and now >= self.started_at + self.planned_s / 2
        return self.outcome if goes_wrong or not self.is_building(now) else None

    def duration_s(self, now: float) -> float:
        return 0.0 if self.is_in_progress(now) else self.ends_at - self.started_at

    def parameter(self, name: str) -> str:
        return next((str(each.get("value", "")) for each in self.parameters if each["name"] == name), "")

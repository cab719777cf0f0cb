"""What a round of faults showed."""

from __future__ import annotations

from dataclasses import dataclass

from support.chaos.points import Point
from support.chaos.scenarios import Accepted


@dataclass(frozen=True)
class Case:
    """One job at its point; `worker` is the one that was at work on it when the fault came."""

    point: Point
    job: Accepted
    worker: str

    def __str__(self) -> str:
        return f"{self.point.name} ({self.job.request_id})"


@dataclass
class Outcome:
    """What a round showed. Times in seconds."""

    fault: str
    moment: str
    cases: list[Case]
    problems: list[str]
    resumed_s: list[float]
    bystanders_s: list[float]
    settled_s: float

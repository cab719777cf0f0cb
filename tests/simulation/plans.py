"""Plans of runs: nothing happens, something at given points, or chance."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from simulation.faults import POSSIBLE, FaultKind, Point

LENGTHS_S = {
    FaultKind.FREEZE: (9.0, 90.0),
    FaultKind.LATE: (10.1, 29.0),
    FaultKind.MESSAGE_LATE: (0.1, 20.0),
}


class Quiet:
    """Nothing happens, and whoever runs goes on as long as it can."""

    def fault_at(self, point: Point) -> FaultKind | None:  # noqa: ARG002 - the shape of a plan
        return None

    def gives_way(self, point: Point) -> bool:  # noqa: ARG002 - as above
        return False

    def choose(self, count: int) -> int:  # noqa: ARG002 - as above
        return 0

    def length_s(self, fault: FaultKind) -> float:
        return LENGTHS_S[fault][0]


class Given(Quiet):
    """These faults at these points; where a fault cannot happen, another one does, drawn from the seed."""

    def __init__(self, faults: Mapping[int, FaultKind | None], seed: str) -> None:
        self._faults = faults
        self._draw = Random(seed)

    def fault_at(self, point: Point) -> FaultKind | None:
        if point.number not in self._faults:
            return None
        wanted, possible = self._faults[point.number], POSSIBLE[point.kind]
        return wanted if wanted in possible else self._draw.choice(possible)

    def length_s(self, fault: FaultKind) -> float:
        return self._draw.uniform(*LENGTHS_S[fault])


class Chance(Given):
    """Threads switch anywhere, messages come in any order, and up to `most` faults happen at any point."""

    def __init__(self, seed: str, *, most: int = 4, likely: float = 0.02) -> None:
        super().__init__({}, seed)
        self._switches = self._draw.choice((0.05, 0.2, 0.5))
        self._left = self._draw.randint(1, most)
        self._likely = likely * self._draw.choice((0.5, 1.0, 2.0))

    def fault_at(self, point: Point) -> FaultKind | None:
        if self._left < 1 or self._draw.random() >= self._likely:
            return None
        self._left -= 1
        return self._draw.choice(POSSIBLE[point.kind])

    def gives_way(self, point: Point) -> bool:  # noqa: ARG002 - as above
        return self._draw.random() < self._switches

    def choose(self, count: int) -> int:
        return self._draw.randrange(count)

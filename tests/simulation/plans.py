"""Plans of runs: nothing happens, something at given points, or chance."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from simulation.faults import BY_CHANCE, POSSIBLE, FaultKind, Point, PointKind

LENGTHS_S = {
    FaultKind.FREEZE: (9.0, 90.0),
    FaultKind.LATE: (10.1, 29.0),
    FaultKind.OUTAGE: (1.0, 40.0),
    FaultKind.PROXY: (1.0, 40.0),
    FaultKind.MESSAGE_LATE: (0.1, 20.0),
    FaultKind.CLOCK_BACK: (1.0, 600.0),
    FaultKind.CLOCK_AHEAD: (1.0, 50.0),  # longer than the shortest wait may last would end that
    FaultKind.LOCK_HOLDER: (0.1, 6.0),  # then the server ends its session
}
SENDING_S = 25.0
"""How long a process stands still at most between its last look at its claim and the call that it is about to send.
Nobody can take a call back that is sent after that: what is not unique there, a build or a sync, would be there twice.
"""


class Quiet:
    """Nothing happens, and whoever runs goes on as long as it can."""

    def fault_at(self, point: Point) -> FaultKind | None:  # noqa: ARG002 - the shape of a plan
        return None

    def gives_way(self, point: Point) -> bool:  # noqa: ARG002 - as above
        return False

    def choose(self, count: int) -> int:  # noqa: ARG002 - as above
        return 0

    def length_s(self, fault: FaultKind, at: PointKind | None = None) -> float:  # noqa: ARG002 - as above
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

    def length_s(self, fault: FaultKind, at: PointKind | None = None) -> float:
        shortest_s, longest_s = LENGTHS_S[fault]
        is_sending = fault is FaultKind.FREEZE and at is PointKind.WRITE
        return self._draw.uniform(shortest_s, SENDING_S if is_sending else longest_s)


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
        return self._draw.choice(BY_CHANCE[point.kind])

    def gives_way(self, point: Point) -> bool:  # noqa: ARG002 - as above
        return self._draw.random() < self._switches

    def choose(self, count: int) -> int:
        return self._draw.randrange(count)

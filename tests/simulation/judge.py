"""What must be true after every run; each function returns what is not.

The world and the ledger are as after a run in which nothing happened: so each object is there once, and what belongs
to others is as it was. It took no longer than its faults explain. Nothing is said that is not true.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from common.jobs.claims import LEASE_S
from common.jobs.lane_messages import LaneMessage
from simulation.faults import FaultKind, Point
from simulation.oracle import Ending, look
from simulation.site import Site

__all__ = ["attempts", "differences", "finished_s", "left_behind", "look", "resumed_s", "times"]

F = FaultKind
DEATHS = (F.CRASH, F.VANISH, F.CRASH_LATE, F.FREEZE)
A_FAULT_COSTS_S = 120.0  # at most, before the steps are settled
A_DEATH_COSTS_OTHERS_S = 10.0
Faults = Sequence[tuple[Point, FaultKind]]
PARTS = ("steps", "world", "ledger", "secrets")


def differences(found: Ending, wanted: Ending) -> list[str]:
    """Compare how two runs ended."""
    return [
        f"{part}: {line}" for part in PARTS for line in _differences(getattr(found, part), getattr(wanted, part), "")
    ]


def times(faults: Faults, lengths_s: Sequence[float], took: Sequence[tuple[str, float, float]]) -> list[str]:
    """Compare what took how long with how long it may, and the other job's time with what one death may cost it."""
    costs_s = A_FAULT_COSTS_S * len(faults) + sum(lengths_s)
    found = []
    for what, took_s, clean_s in took:
        is_other = what != "it" and [fault for _, fault in faults if fault not in DEATHS] == [] and len(faults) == 1
        may_s = clean_s + (A_DEATH_COSTS_OTHERS_S if is_other else costs_s)
        if took_s > may_s:
            found.append(f"{what} took {took_s:.1f} s, {may_s:.1f} s are allowed")
    return found


def attempts(site: Site, wanted: Sequence[tuple[str, str]], faults: Faults) -> list[str]:
    """Compare what the attempts say with what happened."""
    made = [row for row in _attempts(site) if (row[0], row[1]) in wanted]
    lost = [row for row in made if row[3] == "lost"]
    may_be_lost = sum(fault in DEATHS or fault in (F.CLOCK_AHEAD, F.LOCK_HOLDER) for _, fault in faults)
    may_be_lost += sum(fault is F.CLOCK_AHEAD for _, fault in faults) * 3  # whatever runs then
    found = (
        [f"{len(lost)} attempts are said to be lost, {may_be_lost} may be: {lost}"] if len(lost) > may_be_lost else []
    )
    return found + [f"an attempt is still open: {row}" for row in made if row[3] is None]


def resumed_s(site: Site, wanted: Sequence[tuple[str, str]], died_s: Sequence[float]) -> float | None:
    """Return how long after a death the attempt began that follows the lost one; None when none was lost."""
    made = [row for row in _attempts(site) if (row[0], row[1]) in wanted]
    lost = {(row[0], row[1], row[2]) for row in made if row[3] == "lost"}
    later = [_second(site, row[4]) for row in made if (row[0], row[1], row[2] - 1) in lost]
    return min(later) - died_s[0] if later and died_s else None


def finished_s(site: Site, lane: LaneMessage) -> float:
    """Return at which second the last step of a lane was finished."""
    rows = site.rows.ask("SELECT name, finished_at FROM steps WHERE job_id = ?", lane.job_id)
    ends = [at for name, at in rows if name in lane.steps]
    return float("inf") if None in ends else max(_second(site, at) for at in ends)


def left_behind(site: Site) -> list[str]:
    """Return what nobody should have left behind, some time later. A slot whose end is far ahead counts as free."""
    now = site.time().replace(tzinfo=None)
    span = [at.isoformat(" ", "microseconds") for at in (now, now + timedelta(seconds=2 * LEASE_S))]
    taken = site.rows.ask(
        "SELECT upstream, number, until FROM slots WHERE holder IS NOT NULL AND until > ? AND until < ?", *span
    )
    claimed = site.rows.ask("SELECT name, state FROM steps WHERE claim_token IS NOT NULL")
    return [f"a slot is taken: {row}" for row in taken] + [f"a claim is held: {row}" for row in claimed]


def _attempts(site: Site) -> list[Any]:
    return site.rows.ask(
        "SELECT s.job_id, s.name, a.number, a.outcome, a.started_at, a.reason"
        " FROM attempts a JOIN steps s ON s.id = a.step_id"
    )


def _second(site: Site, at: str) -> float:
    return site.time.until(datetime.fromisoformat(at).replace(tzinfo=UTC))


def _differences(found: Any, wanted: Any, place: str) -> list[str]:
    if isinstance(found, dict) and isinstance(wanted, dict):
        return [
            line
            for name in sorted(found.keys() | wanted.keys(), key=str)
            for line in _differences(found.get(name), wanted.get(name), f"{place}/{name}")
        ]
    if isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted):
        return [
            line
            for number, (one, other) in enumerate(zip(found, wanted, strict=True))
            for line in _differences(one, other, f"{place}[{number}]")
        ]
    return [] if found == wanted else [f"{place}: {str(found)[:300]} instead of {str(wanted)[:300]}"]

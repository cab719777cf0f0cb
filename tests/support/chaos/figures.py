"""What a run showed: tables for whoever reads, and a file below var/chaos/ for whoever compares."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from support.chaos.outcomes import Outcome
from support.checkout import ROOT

PLACE = ROOT / "var/chaos"


def quantile(values: Sequence[float], part: float) -> float:
    """Return the value that this part of all values does not exceed; 0 when there are none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)] if ordered else 0.0


def resume_table(outcomes: Sequence[Outcome]) -> str:
    """Return one row for each fault: cases, problems, and how long it took until the next attempt ran."""
    rows = ["fault                              rounds cases problems  resumed: median    p95    max   settled max"]
    for name in dict.fromkeys(outcome.fault for outcome in outcomes):
        of = [outcome for outcome in outcomes if outcome.fault == name]
        resumed = [s for outcome in of for s in outcome.resumed_s]
        cases, problems = (sum(len(part) for part in parts) for parts in (
            (outcome.cases for outcome in of), (outcome.problems for outcome in of),
        ))  # fmt: skip
        rows.append(
            f"{name:<34} {len(of):>6} {cases:>5} {problems:>8} {quantile(resumed, 0.5):>16.1f} "
            f"{quantile(resumed, 0.95):>6.1f} {max(resumed, default=0):>6.1f} {max(o.settled_s for o in of):>13.1f}"
        )
    return "\n".join(rows)


def report(name: str, text: str, **figures: Any) -> None:
    """Print the text, and write the figures with the machine and the time."""
    print(f"\n{text}")  # noqa: T201 - the figures are the point
    PLACE.mkdir(parents=True, exist_ok=True)
    about = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"cores": os.cpu_count(), "system": platform.platform(), "load": os.getloadavg()[0]},
    }
    (PLACE / f"{name}.json").write_text(json.dumps({**about, **figures}, indent=1, default=str), encoding="utf-8")

"""How often is a seeded test repeated?  A few times by default, as often as the environment says for the proof."""

from __future__ import annotations

import os


def runs(default: int, name: str = "SLIPWAY_RUNS") -> int:
    """Return the number of runs: of the environment's variable `name`, else `default`."""
    return int(os.environ.get(name, default))

"""Play runs of the simulation, and record which were played.

export PYTHONPATH=.:tests
python -m simulation single provision.fork_source 12:crash     one run again; or `pair`, `interleaving` and a seed
python -m simulation singles [SCENE …]                         every single fault, of all steps or of these scenes
python -m simulation pairs 0:20000                             a range of seeds
python -m simulation interleavings 0:100000
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

from simulation import modes, site
from simulation.scenes import STEPS, Run, Stage


def main(arguments: list[str]) -> int:
    mode, *rest = arguments
    began_s, count, bad = time.monotonic(), 0, 0
    with site.opened() as opened:
        for name, run in _runs(Stage(opened), mode, rest):
            count += 1
            if run.violations:
                bad += 1
                print(f"{mode} {name} of {run}", flush=True)
    took_s = time.monotonic() - began_s
    print(f"{mode} {' '.join(rest)}: {count} runs, {bad} with violations, {took_s:.0f} s")
    return 1 if bad else 0


def _runs(stage: Stage, mode: str, rest: list[str]) -> Iterator[tuple[str, Run]]:
    match mode:
        case "single" | "pair" | "interleaving":
            yield rest[1], modes.play(stage, mode, rest[0], rest[1])
        case "singles":
            for name in rest or STEPS:
                yield from modes.singles(stage, name)
        case "pairs" | "interleavings":
            play = modes.pair if mode == "pairs" else modes.interleaving
            first, _, end = rest[0].partition(":")
            for seed in range(int(first), int(end or int(first) + 1)):
                yield str(seed), play(stage, seed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

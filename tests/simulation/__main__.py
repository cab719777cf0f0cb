"""Play runs of the simulation, and record which were played.

export PYTHONPATH=.:tests
python -m simulation single provision.fork_source 12:crash     one run again; or `pair`, `interleaving` and a seed
python -m simulation singles [SCENE …]                         every single fault, of all steps or of these scenes
python -m simulation pairs 0:20000                             a range of seeds
python -m simulation interleavings 0:100000
"""

from __future__ import annotations

import gc
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from simulation import modes, site
from simulation.scenes import STEPS, Run, Stage

RECORDED_EVERY = 1000  # seeds
RECORDED = Path(__file__).with_name("recorded.txt")


def main(arguments: list[str]) -> int:
    is_recorded = "--record" in arguments
    mode, *rest = [each for each in arguments if each != "--record"]
    bad = 0
    with site.opened() as opened:
        stage = Stage(opened)
        gc.freeze()
        for part in _parts(mode, rest):
            line, bad_of_part = _played(stage, mode, part)
            bad += bad_of_part
            print(line, flush=True)
            if is_recorded:
                with RECORDED.open("a", encoding="utf-8") as file:
                    file.write(f"{line}\n")
    return 1 if bad else 0


def _parts(mode: str, rest: list[str]) -> Iterator[list[str]]:
    """Divide what is to be played into parts that are recorded one by one: a run that is ended loses little."""
    match mode:
        case "singles":
            yield from ([name] for name in rest or STEPS)
        case "pairs" | "interleavings":
            first, _, end = rest[0].partition(":")
            seeds = range(int(first), int(end or int(first) + 1))
            for begin in seeds[::RECORDED_EVERY]:
                yield [f"{begin}:{min(begin + RECORDED_EVERY, seeds.stop)}"]
        case _:
            yield rest


def _played(stage: Stage, mode: str, rest: list[str]) -> tuple[str, int]:
    """Play a part, and return its line of the record and how many runs had violations."""
    began_s, count, bad, resumed_s = time.monotonic(), 0, 0, list[float]()
    for name, run in _runs(stage, mode, rest):
        count += 1
        resumed_s += [run.resumed_s] if run.resumed_s is not None else []
        if run.violations:
            bad += 1
            print(f"{mode} {name} of {run}", flush=True)
    took_s = time.monotonic() - began_s
    line = f"{_commit()} {mode} {' '.join(rest)}: {count} runs, {bad} with violations, {took_s:.0f} s"
    if resumed_s:
        resumed_s.sort()
        median_s, p95_s = (resumed_s[int(len(resumed_s) * share)] for share in (0.5, 0.95))
        line += f"; resumed after a death in median {median_s:.1f} s, p95 {p95_s:.1f} s, at most {resumed_s[-1]:.1f} s"
    return line, bad


def _commit() -> str:
    told = subprocess.run(("git", "rev-parse", "--short", "HEAD"), capture_output=True, text=True, check=False)
    return told.stdout.strip() or "unknown"


def _runs(stage: Stage, mode: str, rest: list[str]) -> Iterator[tuple[str, Run]]:
    match mode:
        case "single" | "pair" | "interleaving":
            yield rest[1], modes.play(stage, mode, rest[0], rest[1])
        case "singles":
            yield from modes.singles(stage, rest[0])
        case "pairs" | "interleavings":
            play = modes.pair if mode == "pairs" else modes.interleaving
            for seed in range(*map(int, rest[0].split(":"))):
                yield str(seed), play(stage, seed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Mutation testing: would the fast tests notice if the code that must not fail were a little different?

export PYTHONPATH=.:tests
python -m mutation                               all targets
python -m mutation common/jobs/claims.py …       these
python -m mutation --survivors …                 only what survived the last time
python -m mutation --every=3 …                   a sample: about every third mutant
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from zlib import crc32

import pytest

from mutation.equivalent import equivalents
from mutation.run import Run
from mutation.targets import TARGETS

ENOUGH = 0.9
KEPT = Path("var/mutation/results.json")


def main(arguments: list[str]) -> int:
    named = {each for each in arguments if not each.startswith("-")}
    targets = [target for target in TARGETS if not named or target.file in named]
    before = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    is_short = "--survivors" in arguments
    every = next((int(each.removeprefix("--every=")) for each in arguments if each.startswith("--every=")), 1)

    def is_wanted(file: str, key: str) -> bool:
        if key in equivalents().get(file, {}) or crc32(key.encode()) % every:
            return False
        return not is_short or before.get(file, {}).get(key, "") is None

    run = Run(targets, is_wanted)
    tests = sorted({test for target in targets for test in target.tests})
    code = pytest.main(["--quiet", "--no-header", "-p", "no:cacheprovider", "-p", "no:xdist", *tests], plugins=[run])
    if code:
        return int(code)
    kept = {
        **before,
        **{file: ({**before.get(file, {}), **found} if is_short else found) for file, found in run.results.items()},
    }
    KEPT.write_text(json.dumps(kept, indent=1), encoding="utf-8")
    return 0 if _report({target.file: kept[target.file] for target in targets}) >= ENOUGH else 1


def _report(results: dict[str, dict[str, str | None]]) -> float:
    """Print a line for each module, and return the smallest share of killed mutants."""
    print(f"\n{'module':38} mutants  killed  survived")
    shares = []
    for file, found in results.items():
        survived = list(found.values()).count(None)
        shares.append(1 - survived / max(len(found), 1))
        print(f"{file:38} {len(found):7} {len(found) - survived:7} {survived:9}  {shares[-1]:.0%}")
    return min(shares)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

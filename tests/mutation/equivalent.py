"""Mutants that no test can tell from the code, each with the reason."""

from __future__ import annotations

from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("equivalent.txt")


@cache
def equivalents() -> dict[str, dict[str, str]]:
    """Return reasons by file and mutant. A line without indentation names a file, "  mutant  # reason" follow."""
    found: dict[str, dict[str, str]] = {}
    mutants: dict[str, str] = {}
    for line in FILE.read_text(encoding="utf-8").splitlines():
        if line.startswith(" "):
            mutant, _, reason = line.strip().partition("  # ")
            mutants[mutant] = reason
        elif line:
            mutants = found[line] = {}
    return found

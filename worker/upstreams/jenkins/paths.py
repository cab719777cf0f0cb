"""Paths of items on Jenkins."""

from __future__ import annotations


def job_path(*names: str) -> tuple[str, ...]:
    """Return the path segments of an item: every level, also of a nested folder, is a `job` of its own."""
    return tuple(part for name in names for level in name.split("/") for part in ("job", level))

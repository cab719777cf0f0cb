"""Texts that make a careless pattern slow: its own words, over and over, and nothing that would end a match."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterable, Iterator
from re import _constants, _parser  # type: ignore[attr-defined] # the parser of `re` itself
from types import ModuleType
from typing import Any

LETTERS = ("a", " ", "<", "'", '"', "/", "1", ":", "\n", "&", "[", "(", "{", "=")


def patterns_in(*packages: ModuleType) -> dict[str, re.Pattern[str]]:
    """Return every compiled pattern of these packages' modules by its place, those within tuples and mappings, too."""
    found: dict[str, re.Pattern[str]] = {}
    for package in packages:
        for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if info.name.endswith("__main__") or ".migrations." in info.name:
                continue
            found |= patterns_of(importlib.import_module(info.name))
    return found


def patterns_of(module: ModuleType) -> dict[str, re.Pattern[str]]:
    """Return every compiled pattern of one module, by its place."""
    return {
        f"{module.__name__}.{name}{place}": each
        for name, value in vars(module).items()
        for place, each in _within(value)
    }


def _within(value: Any) -> Iterator[tuple[str, re.Pattern[str]]]:
    if isinstance(value, re.Pattern):
        yield "", value
    elif isinstance(value, dict):
        yield from ((f"[{key}]{place}", each) for key, inner in value.items() for place, each in _within(inner))
    elif isinstance(value, tuple):
        yield from ((f"[{at}]{place}", each) for at, inner in enumerate(value) for place, each in _within(inner))


def pumps_of(pattern: re.Pattern[str]) -> list[str]:
    """Return what to repeat: each run of literals in the pattern, with and without what may follow it."""
    words = list(dict.fromkeys(filter(None, _literals(_parser.parse(pattern.pattern, pattern.flags)))))[:24]
    joined = ["".join(words)] if len(words) > 1 else []
    return [*LETTERS, *words, *(f"{word} " for word in words), *(f"{word}1" for word in words), *joined]


def _literals(parsed: Iterable[Any]) -> Iterator[str]:
    run = ""
    for kind, value in parsed:
        if kind is _constants.LITERAL:
            run += chr(value)
            continue
        yield run
        run = ""
        if kind is _constants.SUBPATTERN:
            yield from _literals(value[-1])
        elif kind is _constants.BRANCH:
            for each in value[1]:
                yield from _literals(each)
        elif kind in (_constants.MAX_REPEAT, _constants.MIN_REPEAT):
            yield from _literals(value[2])
    yield run

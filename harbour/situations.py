"""Situations that a stand-in can be brought into: named attributes with a default and a check of their values."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from harbour import front_proxy
from harbour.server import Service


@dataclass(frozen=True)
class Situation:
    """One attribute of a stand-in. `expected` completes "must be …"; `default` is how it is without the situation."""

    default: Any
    expected: str
    is_valid: Callable[[Any], bool]


class WrongSituationError(Exception):
    """A situation that a stand-in does not have, or a value that it cannot have."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason


def situations_of(service: Service) -> Mapping[str, Situation]:
    """Return what a stand-in can be brought into; most have nothing."""
    known: Mapping[str, Situation] = getattr(service, "situations", {})
    return known


def current(service: Service) -> dict[str, Any]:
    """Return the value of each situation."""
    return {name: getattr(service, name) for name in situations_of(service)}


def bring(service: Service, values: Mapping[str, Any]) -> None:
    """Bring a stand-in into situations; those that are not named stay. Raises WrongSituationError, and does nothing."""
    known = situations_of(service)
    for name, value in values.items():
        if name not in known:
            raise WrongSituationError(name, f"is unknown; known are {', '.join(known) or 'none'}")
        if not known[name].is_valid(value):
            raise WrongSituationError(name, f"must be {known[name].expected}")
    with service.lock:
        for name, value in values.items():
            setattr(service, name, value)
    service.save()


def end(service: Service) -> None:
    """End every situation."""
    bring(service, {name: copy.deepcopy(each.default) for name, each in situations_of(service).items()})


def flag(*, default: bool = False) -> Situation:
    return Situation(default, "true or false", lambda value: isinstance(value, bool))


def text() -> Situation:
    return Situation("", "a text", lambda value: isinstance(value, str))


def texts(*default: str) -> Situation:
    return Situation(list(default), "a list of texts", _is_texts)


def choice(default: str, *others: str) -> Situation:
    known = (default, *others)
    return Situation(default, f"one of {', '.join(known)}", lambda value: value in known)


def in_front() -> dict[str, Situation]:
    """Return the situations that every stand-in has: a proxy in front of it that lets no call through."""
    return {"front_proxy": choice(*front_proxy.MODES)}


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)

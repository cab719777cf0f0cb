"""Secrets that calls of this thread carry, so that no text which is made of the answers shows one.

Whoever sends a secret notes it here. Inside a `scope`, such as an attempt of a step, all that were sent count until
its end: an upstream may repeat in one answer what it was sent before. Outside, those of the last call do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from common.plain_text import without_invisible
from common.telemetry.spellings import HIDDEN, Secrets


@dataclass(frozen=True)
class _Known:
    sets: tuple[Secrets, ...] = ()
    is_scope: bool = False

    def has(self, secrets: Secrets) -> bool:
        return any(secrets.values <= each.values for each in self.sets)


_NOTHING = _Known()
_known: ContextVar[_Known] = ContextVar("sent", default=_NOTHING)


@contextmanager
def scope(always: Secrets) -> Iterator[None]:
    """Remember what is sent inside; `always` is hidden from the beginning."""
    token = _known.set(_Known((always,), is_scope=True))
    try:
        yield
    finally:
        _known.reset(token)


def note(secrets: Secrets, carried: Secrets | None = None) -> None:
    """Note what a call sends: our login, and what this one call carries."""
    known = _known.get()
    known = known if known.is_scope else _NOTHING
    new = tuple(each for each in (secrets, carried) if each is not None and not known.has(each))
    _known.set(_Known((*known.sets, *new), known.is_scope))


def hide(text: str, instead: str = HIDDEN) -> str:
    """Return the text without what was sent, however it is spelt."""
    for each in _known.get().sets:
        text = each.hide(text, instead)
    return text


def visible(text: str) -> str:
    """Return the text as people see it, without what was sent, also where characters that nobody sees are amid it."""
    return hide(without_invisible(hide(text)))

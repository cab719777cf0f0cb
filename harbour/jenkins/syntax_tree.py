"""Syntax tree of the part of Groovy that `groovy` parses: statements of expressions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Value:
    value: Any


@dataclass(frozen=True)
class Text:
    """A string: literal parts and `${…}` expressions, in order."""

    parts: tuple[str | Expression, ...]


@dataclass(frozen=True)
class Name:
    name: str


@dataclass(frozen=True)
class Member:
    target: Expression
    name: str


@dataclass(frozen=True)
class Index:
    target: Expression
    key: Expression


@dataclass(frozen=True)
class Many:
    """A list, or a map when its entries have keys."""

    entries: tuple[Argument, ...]


@dataclass(frozen=True)
class Operator:
    sign: str
    left: Expression
    right: Expression


@dataclass(frozen=True)
class Call:
    target: Expression
    arguments: tuple[Argument, ...] = ()
    body: tuple[Statement, ...] | None = None

    @property
    def name(self) -> str:
        return self.target.name if isinstance(self.target, Name) else ""


@dataclass(frozen=True)
class Argument:
    key: str | None
    value: Expression


@dataclass(frozen=True)
class Assign:
    target: Expression
    value: Expression


@dataclass(frozen=True)
class If:
    condition: Expression
    then: tuple[Statement, ...]
    otherwise: tuple[Statement, ...]


Expression = Value | Text | Name | Member | Index | Many | Operator | Call
Statement = Expression | Assign | If

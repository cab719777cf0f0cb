"""Evaluation of a Jenkinsfile's Groovy: variables, strings, operators, and calls that a subclass knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harbour.jenkins.syntax_tree import (
    Assign,
    Call,
    Expression,
    If,
    Index,
    Many,
    Member,
    Name,
    Operator,
    Statement,
    Text,
    Value,
)


class StepError(Exception):
    """A step has failed; the message is the last line of the console."""


class Evaluation:
    """The variables of one run: `params`, `env`, `currentBuild` and what the script defines."""

    def __init__(self, *, parameters: Mapping[str, Any], env: Mapping[str, str], current: Mapping[str, Any]) -> None:
        self._params = parameters
        self._env = dict(env)
        self._current = dict(current)
        self._names: dict[str, Any] = {}

    def _run(self, statements: Sequence[Statement]) -> Any:
        result = None
        for statement in statements:
            match statement:
                case Assign(target, value):
                    self._assign(target, self._value(value))
                case If(condition, then, otherwise):
                    result = self._run(then if self._value(condition) else otherwise)
                case _:
                    result = self._value(statement)
        return result

    def _assign(self, target: Expression, value: Any) -> None:
        match target:
            case Member(Name("env"), name):
                self._env[name] = text_of(value)
            case Member(Name("currentBuild"), name):
                self._current[name] = value
            case Name(name):
                self._names[name] = value
            case _:
                raise StepError("this assignment is not understood")

    def _value(self, expression: Expression) -> Any:
        match expression:
            case Value(value):
                return value
            case Text(parts):
                return "".join(part if isinstance(part, str) else text_of(self._value(part)) for part in parts)
            case Name(name):
                return self._named(name)
            case Member(target, name):
                found = self._value(target)
                return found.get(name) if isinstance(found, Mapping) else None
            case Index(target, key):
                return self._value(target)[self._value(key)]
            case Many(entries):
                if entries and entries[0].key is not None:
                    return {entry.key: self._value(entry.value) for entry in entries}
                return [self._value(entry.value) for entry in entries]
            case Operator(sign, left, right):
                return self._operation(sign, left, right)
        return self._call(expression)

    def _named(self, name: str) -> Any:
        known = {"params": self._params, "env": self._env, "currentBuild": self._current, "scm": "scm"}
        for place in (self._names, known, self._env, self._params):
            if name in place:
                return place[name]
        raise StepError(f"groovy.lang.MissingPropertyException: No such property: {name} for class: WorkflowScript")

    def _operation(self, sign: str, left: Expression, right: Expression) -> Any:
        first = self._value(left)
        match sign:
            case "?:" | "||":
                return first or self._value(right)
            case "&&":
                return first and self._value(right)
            case "!":
                return not first
            case "?":
                then, otherwise = self._value_pair(right)
                return self._value(then if first else otherwise)
        second = self._value(right)
        if sign == "+":
            return text_of(first) + text_of(second)
        return (first == second) is (sign == "==")

    @staticmethod
    def _value_pair(pair: Expression) -> tuple[Expression, Expression]:
        assert isinstance(pair, Many)  # noqa: S101 - the parser makes it of `a : b`
        return pair.entries[0].value, pair.entries[1].value

    # -- calls -----------------------------------------------------------------------------------------------

    def _call(self, call: Call) -> Any:
        """Run a step; the steps are a subclass's."""
        raise NotImplementedError(call.name)

    @staticmethod
    def _method(target: Any, name: str, given: Sequence[Any]) -> Any:
        match name:
            case "trim":
                return text_of(target).strip()
            case "take":
                return text_of(target)[: given[0]]
            case "toString":
                return text_of(target)
            case "replaceAll" | "replace":
                return text_of(target).replace(*given)
        raise StepError(f"groovy.lang.MissingMethodException: No signature of method: {name}")

    def _given(self, call: Call, first: str = "") -> dict[str, Any]:
        """Return the arguments by name; one without a name is `first`."""
        return {each.key or first: self._value(each.value) for each in call.arguments}


def text_of(value: Any) -> str:
    return "" if value is None else shown(value)


def shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

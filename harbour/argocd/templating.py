"""Go templates with the functions that charts use most; what is not known here is an error, as in helm."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harbour.argocd import yaml

_ACTION = re.compile(r"\{\{(-?)\s*(/\*.*?\*/|(?:\"(?:[^\"\\]|\\.)*\"|`[^`]*`|.)*?)\s*(-?)\}\}", re.DOTALL)
_TOKEN = re.compile(
    r"""\s*("(?:[^"\\]|\\.)*"|`[^`]*`|-?\d+(?:\.\d+)?(?![\w.])|:=|[()|,=]|\$[\w]*(?:\.[\w-]+)*|(?:\.[A-Za-z_][\w-]*)+|\.|\w+)"""
)


class TemplateError(Exception):
    """A template that cannot be rendered, in helm's words."""


@dataclass
class _Node:
    """A text, or an action with the nodes inside it. `other` is what follows its `else`."""

    kind: str
    text: str
    line: int
    inner: list[_Node] = field(default_factory=list)
    other: list[_Node] = field(default_factory=list)


@dataclass
class Templates:
    """Templates of one chart, by their names, and what they define for each other."""

    root: dict[str, Any]
    defined: dict[str, list[_Node]] = field(default_factory=dict)

    def add(self, name: str, text: str) -> list[_Node]:
        """Parse a template and keep what it defines. Raises TemplateError."""
        nodes = _Parser(name, text).parse()
        for node in nodes:
            if node.kind == "define":
                self.defined[str(json.loads(node.text))] = node.inner
        return nodes

    def render(self, name: str, nodes: list[_Node]) -> str:
        """Return the text of a parsed template. Raises TemplateError."""
        return _Run(self, name, {"$": self.root}).nodes(nodes, self.root)


class _Parser:
    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.parts = self._split(text)
        self.at = 0

    def _split(self, text: str) -> list[_Node]:
        parts, end, trims = [], 0, False
        for match in _ACTION.finditer(text):
            before = text[end : match.start()]
            before = before.lstrip() if trims else before
            parts.append(_Node("text", before.rstrip() if match[1] else before, 0))
            parts.append(_Node("action", match[2], text.count("\n", 0, match.start()) + 1))
            end, trims = match.end(), bool(match[3])
        rest = text[end:]
        return [*parts, _Node("text", rest.lstrip() if trims else rest, 0)]

    def parse(self) -> list[_Node]:
        nodes, stop = self._until_end()
        if stop is not None:
            raise self._wrong(stop, f"unexpected {{{{{stop.text}}}}}")
        return nodes

    def _wrong(self, node: _Node, reason: str) -> TemplateError:
        return TemplateError(f"parse error at ({self.name}:{node.line}): {reason}")

    def _until_end(self) -> tuple[list[_Node], _Node | None]:
        """Return the nodes up to an `end` or `else`, and that."""
        nodes: list[_Node] = []
        while self.at < len(self.parts):
            part = self.parts[self.at]
            self.at += 1
            word, _, rest = part.text.partition(" ") if part.kind == "action" else ("", "", "")
            if part.kind == "text":
                nodes.append(part)
            elif word in ("end", "else"):
                return nodes, part
            elif word in ("if", "with", "range", "define"):
                nodes.append(self._nested(_Node(word, rest.strip(), part.line)))
            elif not part.text.startswith("/*"):
                nodes.append(part)
        return nodes, None

    def _nested(self, node: _Node) -> _Node:
        node.inner, stop = self._until_end()
        if stop is not None and stop.text.startswith("else"):
            condition = stop.text[4:].strip()
            if condition:
                word, _, rest = condition.partition(" ")
                node.other = [self._nested(_Node(word, rest.strip(), stop.line))]
                return node
            node.other, stop = self._until_end()
        if stop is None:
            raise self._wrong(node, "unexpected EOF")
        return node


class _Run:
    """One rendering of a template, with its variables."""

    def __init__(self, templates: Templates, name: str, variables: dict[str, Any]) -> None:
        self.templates = templates
        self.name = name
        self.variables = variables

    def nodes(self, nodes: list[_Node], dot: Any) -> str:
        return "".join(self.node(node, dot) for node in nodes)

    def node(self, node: _Node, dot: Any) -> str:
        if node.kind == "text":
            return node.text
        if node.kind == "define":
            return ""
        if node.kind == "action":
            value = self.value(node, node.text, dot)
            return "" if value is None else _printed(value)
        if node.kind == "range":
            return self._range(node, dot)
        value = self.value(node, node.text, dot)
        if not value:
            return self.nodes(node.other, dot)
        return self.nodes(node.inner, value if node.kind == "with" else dot)

    def _range(self, node: _Node, dot: Any) -> str:
        names, is_assigned, expression = node.text.partition(":=")
        values = self.value(node, expression if is_assigned else node.text, dot)
        rows = sorted(values.items()) if isinstance(values, dict) else list(enumerate(values or ()))
        wanted = [name.strip() for name in names.split(",")] if is_assigned else []
        text = ""
        for key, value in rows:
            pair = (key, value) if len(wanted) > 1 else (value,)
            self.variables |= dict(zip(wanted, pair, strict=False))
            text += self.nodes(node.inner, value)
        return text if rows else self.nodes(node.other, dot)

    def value(self, node: _Node, text: str, dot: Any) -> Any:
        tokens = _TOKEN.findall(text)
        if "".join(tokens).replace(" ", "") != re.sub(r"\s", "", text).replace(" ", "") and '"' not in text:
            raise TemplateError(f"parse error at ({self.name}:{node.line}): unexpected {text!r} in operand")
        assigned = ""
        if len(tokens) > 2 and tokens[1] in (":=", "="):
            assigned, tokens = tokens[0], tokens[2:]
        value = _Expression(self, node, tokens, dot).pipeline()
        if assigned:
            self.variables[assigned] = value
            return None
        return value

    def include(self, name: str, dot: Any) -> str:
        if name not in self.templates.defined:
            raise TemplateError(f'template: {self.name}: template "{name}" not defined')
        return _Run(self.templates, self.name, {"$": dot}).nodes(self.templates.defined[name], dot)


class _Expression:
    def __init__(self, run: _Run, node: _Node, tokens: list[str], dot: Any) -> None:
        self.run, self.node, self.tokens, self.dot = run, node, list(tokens), dot

    def pipeline(self) -> Any:
        """Evaluate commands joined by `|`: each gets the value before it as its last argument."""
        value = self._command(())
        while self.tokens and self.tokens[0] == "|":
            self.tokens.pop(0)
            value = self._command((value,))
        return value

    def _command(self, last: tuple[Any, ...]) -> Any:
        name = self.tokens.pop(0) if self.tokens else ""
        if re.fullmatch(r"[A-Za-z]\w*", name) and name not in ("true", "false", "nil"):
            arguments = self._arguments()
            return self._called(name, [*arguments, *last])
        return self._operand(name)

    def _arguments(self) -> list[Any]:
        found = []
        while self.tokens and self.tokens[0] not in ("|", ")"):
            found.append(self._operand(self.tokens.pop(0)))
        return found

    def _operand(self, word: str) -> Any:
        if word == "(":
            value = self.pipeline()
            if self.tokens and self.tokens[0] == ")":
                self.tokens.pop(0)
            return value
        if word[:1] in '"`':
            return json.loads(word) if word[:1] == '"' else word[1:-1]
        if word[:1] in (".", "$"):
            return self._field(word)
        if word in ("true", "false", "nil"):
            return {"true": True, "false": False, "nil": None}[word]
        if re.fullmatch(r"-?\d+(\.\d+)?", word):
            return float(word) if "." in word else int(word)
        return self._called(word, [])

    def _field(self, token: str) -> Any:
        head, _, rest = token.partition(".")
        value = self.dot if not head else self._variable(head)
        for name in filter(None, rest.split(".")):
            if not isinstance(value, Mapping):
                kind = (
                    "nil pointer evaluating interface {}" if value is None else f"can't evaluate field {name} in type"
                )
                raise self._wrong(token, f"{kind}.{name}" if value is None else f"{kind} {type(value).__name__}")
            value = value.get(name)
        return value

    def _variable(self, name: str) -> Any:
        if name not in self.run.variables:
            raise TemplateError(f'parse error at ({self.run.name}:{self.node.line}): undefined variable "{name}"')
        return self.run.variables[name]

    def _wrong(self, at: str, reason: str) -> TemplateError:
        place = f"{self.run.name}:{self.node.line}:{self.node.text.find(at) + 4}"
        return TemplateError(f'{place}\n  executing "{self.run.name}" at <{at}>:\n    {reason}')

    def _called(self, name: str, arguments: list[Any]) -> Any:
        if name in ("include", "template"):
            return self.run.include(*arguments)
        function = FUNCTIONS.get(name)
        if function is None:
            raise TemplateError(f'parse error at ({self.run.name}:{self.node.line}): function "{name}" not defined')
        try:
            return function(*arguments)
        except (TypeError, ValueError, AttributeError, IndexError, KeyError) as error:
            raise self._wrong(name, f"error calling {name}: {error}") from error


def _printed(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else json.dumps(value) if isinstance(value, dict | list) else str(value)


def _indented(width: int, text: Any) -> str:
    return "\n".join(" " * width + line for line in _printed(text).split("\n"))


def _required(message: str, value: Any) -> Any:
    if value in (None, ""):
        raise ValueError(message)
    return value


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "quote": lambda *values: " ".join(json.dumps(_printed(each)) for each in values if each is not None),
    "squote": lambda *values: " ".join(f"'{_printed(each)}'" for each in values if each is not None),
    "default": lambda fallback, value=None: value or fallback,
    "coalesce": lambda *values: next((each for each in values if each), None),
    "required": _required,
    "toYaml": lambda value: yaml.dump(value),
    "toJson": lambda value: json.dumps(value),
    "indent": _indented,
    "nindent": lambda width, text: "\n" + _indented(width, text),
    "trim": lambda text: text.strip(),
    "trunc": lambda width, text: text[:width] if width >= 0 else text[width:],
    "trimSuffix": lambda suffix, text: text.removesuffix(suffix),
    "trimPrefix": lambda prefix, text: text.removeprefix(prefix),
    "replace": lambda old, new, text: text.replace(old, new),
    "lower": lambda text: text.lower(),
    "upper": lambda text: text.upper(),
    "contains": lambda part, text: part in text,
    "hasPrefix": lambda prefix, text: text.startswith(prefix),
    "hasSuffix": lambda suffix, text: text.endswith(suffix),
    "hasKey": lambda mapping, key: key in mapping,
    "printf": lambda form, *values: re.sub(r"%[vqd]", "%s", form) % tuple(map(_printed, values)),
    "print": lambda *values: "".join(map(_printed, values)),
    "toString": _printed,
    "int": lambda value: int(value or 0),
    "eq": lambda one, *others: any(one == each for each in others),
    "ne": lambda one, other: one != other,
    "gt": lambda one, other: one > other,
    "lt": lambda one, other: one < other,
    "and": lambda *values: next((each for each in values if not each), values[-1]),
    "or": lambda *values: next((each for each in values if each), values[-1]),
    "not": lambda value: not value,
    "empty": lambda value: not value,
    "list": lambda *values: list(values),
    "dict": lambda *pairs: dict(zip(pairs[::2], pairs[1::2], strict=True)),
    "len": len,
    "add": lambda *values: sum(values),
}

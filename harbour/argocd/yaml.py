"""The part of YAML that charts are written in: block and flow mappings and sequences, scalars, block texts, comments.

Anchors, tags and complex keys are refused. The stand-in has no YAML library to depend on.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

_KEY = re.compile(
    r"""("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s\[\]{}#&*!|>%@`"'-][^#]*?|-[^\s#][^#]*?)\s*:(?:\s+(.*)|)$"""
)
_INTEGER = re.compile(r"[-+]?\d+")
_FLOAT = re.compile(r"[-+]?(\d+\.\d*|\.\d+|\d+(\.\d*)?[eE][-+]?\d+)")
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}
_PLAIN = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./ @%+=:,-]*")


class YAMLError(Exception):
    """The text is no YAML that can be read here; names the line, from 1."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"yaml: line {line}: {reason}")


@dataclass
class _Line:
    number: int
    indent: int
    text: str


def documents(text: str) -> list[Any]:
    """Return the documents in a text, without the empty ones. Raises YAMLError."""
    parts, first = re.split(r"^---[ \t]*(?:#.*)?$", text, flags=re.MULTILINE), 1
    found = []
    for part in parts:
        value = _Parser(part, first).document()
        first += part.count("\n")
        if value is not None:
            found.append(value)
    return found


def load(text: str) -> Any:
    """Return the first document, None when there is none. Raises YAMLError."""
    return next(iter(documents(text)), None)


class _Parser:
    def __init__(self, text: str, first: int) -> None:
        self.raw = text.split("\n")
        self.first = first
        self.lines = [
            _Line(number, len(line) - len(line.lstrip(" ")), cut)
            for number, line in enumerate(self.raw)
            if (cut := _without_comment(line).strip())
        ]
        self.at = 0

    def document(self) -> Any:
        if not self.lines:
            return None
        value = self._block(self.lines[0].indent)
        if self.at < len(self.lines):
            raise self._wrong(self.lines[self.at], "did not find expected key")
        return value

    def _wrong(self, line: _Line, reason: str) -> YAMLError:
        return YAMLError(self.first + line.number, reason)

    def _next(self) -> _Line | None:
        return self.lines[self.at] if self.at < len(self.lines) else None

    def _block(self, indent: int) -> Any:
        line = self.lines[self.at]
        if "\t" in self.raw[line.number][: line.indent + 1]:
            raise self._wrong(line, "found character that cannot start any token")
        if line.text == "-" or line.text.startswith("- "):
            return self._sequence(indent)
        if _KEY.match(line.text):
            return self._mapping(indent)
        self.at += 1
        return self._flow(line, line.text)

    def _sequence(self, indent: int) -> list[Any]:
        items = []
        while (line := self._next()) and line.indent == indent and (line.text == "-" or line.text.startswith("- ")):
            rest = line.text[1:].lstrip()
            if not rest:
                self.at += 1
                items.append(self._nested(indent))
                continue
            inner = indent + len(line.text) - len(rest)
            line.text, line.indent = rest, inner
            items.append(self._block(inner))
        return items

    def _mapping(self, indent: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while (line := self._next()) and line.indent == indent:
            match = _KEY.match(line.text)
            if match is None:
                raise self._wrong(line, "could not find expected ':'")
            self.at += 1
            found[str(_scalar(match[1]))] = self._value(line, (match[2] or "").strip(), indent)
        if (line := self._next()) and line.indent > indent:
            raise self._wrong(line, "did not find expected key")
        return found

    def _value(self, line: _Line, text: str, indent: int) -> Any:
        if text and text[0] in "|>":
            return self._text(line, text, indent)
        return self._flow(line, text) if text else self._nested(indent, is_value=True)

    def _nested(self, indent: int, *, is_value: bool = False) -> Any:
        """Return the block below a key or a dash; a sequence may stand at its key's own indentation."""
        line = self._next()
        if line is None or line.indent < indent:
            return None
        is_same = line.indent == indent and is_value and (line.text == "-" or line.text.startswith("- "))
        return self._block(line.indent) if line.indent > indent or is_same else None

    def _text(self, line: _Line, header: str, indent: int) -> str:
        end = line.number + 1
        while end < len(self.raw) and (not self.raw[end].strip() or _indent(self.raw[end]) > indent):
            end += 1
        rows = self.raw[line.number + 1 : end]
        cut = min((_indent(row) for row in rows if row.strip()), default=0)
        text = ("\n" if header[0] == "|" else " ").join(row[cut:] for row in rows)
        while (following := self._next()) and following.number < end:
            self.at += 1
        return text.rstrip("\n ") + ("" if "-" in header else "\n")

    def _flow(self, line: _Line, text: str) -> Any:
        """Return a scalar or a flow collection; with brackets or quotes it may go on over the next lines."""
        while text[0] in "[{\"'" and not _is_closed(text) and (following := self._next()):
            text += " " + following.text
            self.at += 1
        if text[0] in "&*!%@`":
            raise self._wrong(line, "found character that cannot start any token")
        try:
            value, rest = _flow_value(text) if text[0] in "[{" else (_scalar(text), "")
        except (ValueError, IndexError):
            reason = "did not find expected ',' or '}'" if text[0] in "[{" else "found unexpected end of stream"
            raise self._wrong(line, reason) from None
        if rest.strip():
            raise self._wrong(line, "did not find expected key")
        return value


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _without_comment(line: str) -> str:
    """Cut a comment off: a `#` at the start or after a space, outside of quotes."""
    quote = ""
    for at, letter in enumerate(line):
        if quote:
            quote = "" if letter == quote and not (quote == '"' and line[at - 1] == "\\") else quote
        elif letter in "\"'" and (at == 0 or line[at - 1] in " [{,:-("):
            quote = letter
        elif letter == "#" and (at == 0 or line[at - 1] in " \t"):
            return line[:at]
    return line


def _is_closed(text: str) -> bool:
    bare = re.sub(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'', "", text)
    if text[0] in "\"'":
        return text[0] not in bare
    return bare.count("[") + bare.count("{") <= bare.count("]") + bare.count("}")


def _flow_value(text: str) -> tuple[Any, str]:
    text = text.lstrip()
    if text[0] == "[":
        items, text = [], text[1:].lstrip()
        while text[0] != "]":
            item, text = _flow_value(text)
            items.append(item)
            text = _after_comma(text, "]")
        return items, text[1:]
    if text[0] == "{":
        pairs, text = {}, text[1:].lstrip()
        while text[0] != "}":
            key, _, text = text.partition(":")
            pairs[str(_scalar(key.strip()))], text = _flow_value(text)
            text = _after_comma(text, "}")
        return pairs, text[1:]
    match = re.match(r""""(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^,\[\]{}]*""", text)
    assert match is not None  # noqa: S101 - the last alternative matches everything
    return _scalar(match[0].strip()), text[match.end() :]


def _after_comma(text: str, end: str) -> str:
    text = text.lstrip()
    if text[0] not in f",{end}":
        raise ValueError(text)
    return text[1:].lstrip() if text[0] == "," else text


def _scalar(text: str) -> Any:
    if text[:1] == '"':
        return json.loads(text, strict=False)
    if text[:1] == "'":
        return text[1:-1].replace("''", "'")
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def dump(value: Any) -> str:
    """Return a value as YAML, without a line break at the end."""
    return "\n".join(_rows(value))


def _rows(value: Any) -> list[str]:
    if isinstance(value, dict) and value:
        return [row for key, each in value.items() for row in _under(f"{_plain(str(key))}:", each, value_indent=2)]
    if isinstance(value, list) and value:
        return [row for each in value for row in _item(each)]
    return [_plain(value)]


def _under(head: str, value: Any, *, value_indent: int) -> list[str]:
    if isinstance(value, dict | list) and value:
        indent = " " * (0 if isinstance(value, list) else value_indent)
        return [head, *(indent + row for row in _rows(value))]
    return [f"{head} {_plain(value)}"]


def _item(value: Any) -> list[str]:
    first, *others = _rows(value)
    return [f"- {first}", *(f"  {row}" for row in others)]


def _plain(value: Any) -> str:
    if isinstance(value, str):
        is_safe = _PLAIN.fullmatch(value) and value == value.strip() and ": " not in value and not value.endswith(":")
        return value if is_safe and _scalar(value) == value else json.dumps(value)
    return json.dumps(value)

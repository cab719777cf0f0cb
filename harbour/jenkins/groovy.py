"""Parser of the part of Groovy that pipelines of the bundled style use.

    text ─▶ tokens ─▶ statements (Call, Assign, If) of expressions (Text, Name, Member, Call, Many, Operator, …)

A call with a closure keeps it as its `body`; a declarative section (`stages { … }`) is such a call.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from harbour.jenkins.syntax_tree import (
    Argument,
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

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r]+|//[^\n]*|/\*.*?\*/|\\\n)
      |(?P<newline>\n)
      |(?P<string>'''|\"\"\"|'|\")
      |(?P<number>\d+)
      |(?P<name>[A-Za-z_]\w*)
      |(?P<sign>\?\.|\?:|==|!=|&&|\|\||->|[{}()\[\],:.=;!?+<>@-])""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b"}
_CONSTANTS = {"true": True, "false": False, "null": None}
_OPERATORS = (("?:",), ("||",), ("&&",), ("==", "!="), ("+",))
"""Binary operators, those that bind least first."""


class SyntaxProblem(Exception):
    """The text is no Groovy that this parser reads; the message has the line."""


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    line: int
    parts: tuple[str | Expression, ...] = field(default=())


def parse(text: str) -> tuple[Statement, ...]:
    """Return the statements of a script. Raises SyntaxProblem."""
    parser = _Parser(_tokens(text))
    statements = parser.statements(until="")
    parser.expect("end")
    return statements


# -- tokens ----------------------------------------------------------------------------------------------------------


def _tokens(text: str) -> list[_Token]:
    found, at, line = [], 0, 1
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise SyntaxProblem(f"unexpected character {text[at]!r} @ line {line}")
        kind = match.lastgroup or ""
        start, at = at, match.end()
        if kind == "string":
            parts, at = _string(text, at, match[0], line)
            found.append(_Token("string", match[0], line, parts))
        elif kind != "space":
            found.append(_Token(kind if kind != "sign" else match[0], match[0], line))
        line += text.count("\n", start, at)
    return [*found, _Token("newline", "\n", line), _Token("end", "", line)]


def _string(text: str, at: int, quote: str, line: int) -> tuple[tuple[str | Expression, ...], int]:
    """Return the parts of the string that begins at `at`, and where it is over."""
    parts: list[str | Expression] = [""]
    is_template = quote.startswith('"')
    while not text.startswith(quote, at):
        if at >= len(text) or (text[at] == "\n" and len(quote) == 1):
            raise SyntaxProblem(f"a string has no end @ line {line}")
        if text[at] == "\\":
            escaped = text[at + 1 : at + 2]
            parts[-1] = f"{parts[-1]}{_ESCAPES.get(escaped, '' if escaped == chr(10) else escaped)}"
            at += 2
        elif is_template and (match := re.compile(r"\$(?:\{|([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*))").match(text, at)):
            source, at = (match[1], match.end()) if match[1] else _embedded(text, match.end(), line)
            parts += [_Parser(_tokens(source)).expression(), ""]
        else:
            parts[-1] = f"{parts[-1]}{text[at]}"
            at += 1
    return tuple(part for part in parts if part != "") or ("",), at + len(quote)


def _embedded(text: str, at: int, line: int) -> tuple[str, int]:
    """Return what stands between `${` and its brace, and where it is over; strings in it may hold braces."""
    depth, end = 1, at
    while depth:
        match = re.compile(r"""'[^'\n]*'|"(?:\$\{[^}]*\}|[^"\n])*"|[{}]""").search(text, end)
        if match is None:
            raise SyntaxProblem(f"an expression in a string has no end @ line {line}")
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        end = match.end()
    return text[at : end - 1], end


# -- grammar ---------------------------------------------------------------------------------------------------------


class _Parser:
    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._at = 0

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _take(self, *kinds: str) -> _Token | None:
        token = self._next
        if token.kind not in kinds:
            return None
        self._at += 1
        return token

    def expect(self, kind: str) -> _Token:
        token = self._take(kind)
        if token is None:
            raise SyntaxProblem(f"unexpected token: {self._next.text.strip() or 'end'} @ line {self._next.line}")
        return token

    def _skip_lines(self) -> None:
        while self._take("newline", ";"):
            pass

    def statements(self, until: str) -> tuple[Statement, ...]:
        found: list[Statement] = []
        self._skip_lines()
        while self._next.kind not in (until, "end"):
            found.append(self._statement())
            if self._next.kind != until:
                if not self._take("newline", ";"):
                    self.expect("newline")
                self._skip_lines()
        return tuple(found)

    def _block(self) -> tuple[Statement, ...]:
        self.expect("{")
        found = self.statements("}")
        self.expect("}")
        return found

    def _statement(self) -> Statement:
        if self._next.kind == "name" and self._next.text == "if":
            return self._if()
        if self._next.kind == "name" and self._next.text in ("def", "return"):
            self._at += 1
        target = self.expression()
        if self._take("="):
            return Assign(target, self.expression())
        if isinstance(target, Name) and self._begins_argument():
            arguments = self._arguments()
            return Call(target, arguments, self._block() if self._next.kind == "{" else None)
        return target

    def _if(self) -> If:
        self._at += 1
        self.expect("(")
        condition = self.expression()
        self.expect(")")
        then = self._block()
        is_more = self._next.kind == "name" and self._next.text == "else"
        self._at += is_more
        return If(condition, then, self._block() if is_more else ())

    def _begins_argument(self) -> bool:
        return self._next.kind in ("string", "number", "name", "[", "!")

    def _arguments(self, end: str = "") -> tuple[Argument, ...]:
        """Parse `a, key: b`; line breaks count only outside of brackets."""
        found: list[Argument] = []
        while True:
            if end or found:
                self._skip_lines()
            if self._next.kind == end:
                break
            if end == "]" and self._take(":"):  # [:]
                continue
            key = None
            if self._next.kind in ("name", "string") and self._tokens[self._at + 1].kind == ":":
                token = self._next
                key = token.text if token.kind == "name" else "".join(str(part) for part in token.parts)
                self._at += 2
            found.append(Argument(key, self.expression()))
            if end:
                self._skip_lines()
            if not self._take(","):
                break
        if end:
            self.expect(end)
        return tuple(found)

    def expression(self, level: int = 0) -> Expression:
        if level == len(_OPERATORS):
            return self._unary()
        left = self.expression(level + 1)
        while token := self._take(*_OPERATORS[level]):
            left = Operator(token.kind, left, self.expression(level + 1))
        if level == 0 and self._take("?"):
            then = self.expression()
            self.expect(":")
            return Operator("?", left, Many((Argument(None, then), Argument(None, self.expression()))))
        return left

    def _unary(self) -> Expression:
        if self._take("!"):
            return Operator("!", self._unary(), Value(None))
        found = self._primary()
        while True:
            if self._take(".", "?."):
                found = Member(found, self.expect("name").text)
            elif self._take("("):
                found = Call(found, self._arguments(")"))
            elif self._next.kind == "[" and not isinstance(found, Name):
                self._at += 1
                found = Index(found, self.expression())
                self.expect("]")
            elif self._next.kind == "{" and isinstance(found, Name | Call):
                given = found.arguments if isinstance(found, Call) else ()
                found = Call(found.target if isinstance(found, Call) else found, given, self._block())
            else:
                return found

    def _primary(self) -> Expression:
        if token := self._take("string"):
            return Text(token.parts)
        if token := self._take("number"):
            return Value(int(token.text))
        if token := self._take("name"):
            return Value(_CONSTANTS[token.text]) if token.text in _CONSTANTS else Name(token.text)
        if self._take("["):
            return Many(self._arguments("]"))
        if self._take("("):
            found = self.expression()
            self.expect(")")
            return found
        raise SyntaxProblem(f"unexpected token: {self._next.text.strip() or 'end'} @ line {self._next.line}")

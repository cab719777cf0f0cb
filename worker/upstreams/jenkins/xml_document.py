"""XML documents of Jenkins: read, changed in place, written back with everything else that they hold.

Jenkins writes XML 1.1, in which control characters may stand as references (`&#x1b;`, from a pasted colour code). The
parser knows XML 1.0 only, so such characters pass through it as private ones that the document does not use.
Source: XML 1.1, section 2.2; xstream `PrettyPrintWriter.writeText`.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from common.errors import ActionBy, Permanent

MEDIA_TYPE = "application/xml; charset=utf-8"  # a config.xml is decoded by this charset, not by the prolog
_PROLOG = re.compile(r"<\?xml\b[^<>]*\?>")
_ENCODING = re.compile(r"""\bencoding\s*=\s*["']([^"']*)["']""")
_REFERENCE = re.compile(r"&#(?:x([0-9a-fA-F]{1,8})|([0-9]{1,10}));")
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # in XML 1.0
_RESTRICTED = re.compile("[\x7f-\x9f\u2028]")  # legal in XML 1.0; XML 1.1 wants references, or reads a line end
_DEEPEST = 200  # elements within elements
_PRIVATE_USE = range(0x100000, 0x10FFFE)
_LOWEST_CONTROL, _LOWEST_PRINTABLE = 0x01, 0x20


def is_storable(text: str) -> bool:
    """Return whether XML 1.0 can hold every character."""
    return _ILLEGAL.search(text) is None


class XmlDocument:
    """A document of Jenkins. `root` may be changed in place."""

    def __init__(self, xml: bytes) -> None:
        """Read a document.

        Raises Permanent when it is not XML or brings a document type (entities could read files or fill the memory).
        """
        self._stand_ins: dict[str, str] = {}
        try:
            text = _decoded(xml)
            self._free = (chr(code) for code in _PRIVATE_USE if chr(code) not in text)
            self.root: Element = _parsed(_ILLEGAL.sub(lambda found: self._stand_in(found[0]), self._resolved(text)))
        except (ElementTree.ParseError, ValueError):
            raise Permanent("Jenkins answered with XML that cannot be read", action_by=ActionBy.OPERATOR) from None

    def to_bytes(self) -> bytes:
        """Return the document: in XML 1.1 when it has characters that only this can hold, else in 1.0."""
        return written(self.root, stand_ins=self._stand_ins)

    def _resolved(self, text: str) -> str:
        """Replace the references to characters that XML 1.0 cannot hold."""
        return _REFERENCE.sub(self._replacement, text)

    def _replacement(self, reference: re.Match[str]) -> str:
        character = chr(int(reference[1], 16) if reference[1] else int(reference[2]))
        return reference[0] if is_storable(character) else self._stand_in(character)

    def _stand_in(self, character: str) -> str:
        if character not in self._stand_ins:
            self._stand_ins[character] = next(self._free)
        return self._stand_ins[character]


def written(root: Element, *, stand_ins: dict[str, str] | None = None) -> bytes:
    """Return the document; `stand_ins` maps characters that XML 1.0 lacks to those that are in their place.

    Carriage returns become references: a reader turns a bare one into a line feed.
    """
    text = ElementTree.tostring(root, encoding="unicode").replace("\r", "&#xd;")
    if stand_ins:
        text = _RESTRICTED.sub(lambda found: _reference_to(found[0]), text)
        for character, stand_in in stand_ins.items():
            text = text.replace(stand_in, _reference_to(character))
    version = "1.1" if stand_ins else "1.0"
    return f"<?xml version='{version}' encoding='UTF-8'?>\n{text}".encode()


def _reference_to(character: str) -> str:
    """Return the reference; what not even XML 1.1 holds (NUL, half a surrogate pair) becomes a replacement."""
    code = ord(character)
    is_held = _LOWEST_CONTROL <= code < _LOWEST_PRINTABLE or _RESTRICTED.match(character)
    return f"&#x{code:x};" if is_held else "\N{REPLACEMENT CHARACTER}"


def _decoded(xml: bytes) -> str:
    """Return the text without its prolog. Raises ValueError for another encoding: Jenkins writes UTF-8."""
    text = xml.decode("utf-8-sig").lstrip()
    prolog = _PROLOG.match(text)
    if prolog is None:
        return text
    encoding = _ENCODING.search(prolog[0])
    if encoding is not None and encoding[1].upper() != "UTF-8":
        raise ValueError(encoding[1])
    return text[prolog.end() :]


class _WithoutDoctype(ElementTree.TreeBuilder):
    """Builds a tree that can be written again: not deeper than the library's own writer goes."""

    depth = 0

    def start(self, tag: str, attrs: dict[str, str], /) -> Element:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise ElementTree.ParseError("elements within elements")
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> Element:
        self.depth -= 1
        return super().end(tag)

    def doctype(self, *_declaration: str | None) -> None:
        """Stop at `<!DOCTYPE`, before any entity is declared."""
        raise ElementTree.ParseError("a document type is refused")


def _parsed(text: str) -> Element:
    parser = ElementTree.XMLParser(target=_WithoutDoctype())  # noqa: S314 - document types are refused  # nosec B314
    return ElementTree.fromstring(text, parser)  # noqa: S314 - as above  # nosec B314

"""XML as XStream reads and writes it.

It writes version 1.1, where control characters are allowed as references: a carriage return of a browser's form is
`&#xd;`, an escape character `&#x1b;`. Python's reader knows version 1.0 only, so control characters pass through it as
private ones. Source: xstream `PrettyPrintWriter.writeText`.
"""

from __future__ import annotations

import re
import unicodedata
import xml.etree.ElementTree as ET

PROLOG = "<?xml version='1.1' encoding='UTF-8'?>\n"
_IS_1_1 = re.compile(r"\s*<\?xml\s+version\s*=\s*['\"]1\.1['\"]")
_CONTROL_REFERENCE = re.compile(r"&#(?:x0*(1?[0-9a-f])|0*(3[01]|[12]?[0-9]));", re.IGNORECASE)
_PRIVATE = 0x10F000
_TO_CONTROL = {_PRIVATE + code: code for code in range(1, 0x20)}
_NAMED = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;"}


class _WithoutDoctype(ET.TreeBuilder):
    def doctype(self, name: str, *_ids: str | None) -> None:
        """Refuse before any entity can be expanded; called by the parser."""
        raise ET.ParseError(f"DOCTYPE {name} is not allowed")


def read(document: bytes | str) -> ET.Element:
    """Return the root. Raises ParseError, ValueError or LookupError for what is not XML of its version."""
    text = document.decode("utf-8-sig") if isinstance(document, bytes) else document
    if _IS_1_1.match(text):
        text = _CONTROL_REFERENCE.sub(_as_private, text)
    root = ET.fromstring(text, ET.XMLParser(target=_WithoutDoctype()))  # noqa: S314 - no DOCTYPE  # nosec B314
    for element in root.iter():
        element.text = element.text and element.text.translate(_TO_CONTROL)
    return root


def _as_private(reference: re.Match[str]) -> str:
    code = int(reference[1], 16) if reference[1] else int(reference[2])
    return reference[0] if code in (0, 9, 10, 13) else chr(_PRIVATE + code)


def write(root: ET.Element) -> str:
    """Return the document as Jenkins writes it. Raises ValueError for a NUL, which no version can hold."""
    return PROLOG + "\n".join(_lines(root, ""))


def _lines(element: ET.Element, pad: str) -> list[str]:
    attributes = "".join(f' {name}="{_escaped(value, is_attribute=True)}"' for name, value in element.items())
    opened = f"{pad}<{element.tag}{attributes}"
    if len(element):
        inner = [line for child in element for line in _lines(child, f"{pad}  ")]
        return [f"{opened}>", *inner, f"{pad}</{element.tag}>"]
    return [f"{opened}>{_escaped(element.text)}</{element.tag}>" if element.text else f"{opened}/>"]


def _escaped(text: str, *, is_attribute: bool = False) -> str:
    return "".join(_character(each, is_attribute=is_attribute) for each in text)


def _character(character: str, *, is_attribute: bool) -> str:
    if character == "\0":
        raise ValueError("Invalid character 0x0 in XML 1.1 stream")
    if character in "\t\n" and not is_attribute:
        return character
    if unicodedata.category(character) in ("Cc", "Cn"):
        return f"&#x{ord(character):x};"
    return _NAMED.get(character, character)

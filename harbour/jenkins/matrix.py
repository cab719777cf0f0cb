"""Project-based matrix authorization: permissions of the whole Jenkins, and of folders in their config.xml.

A folder's property lists `KIND:permission:sid`, KIND being USER or GROUP; without it (before version 3.0) either.
What is inside a folder inherits. Source: matrix-auth `AuthorizationMatrixProperty`, its converter.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator

MATRIX = "com.cloudbees.hudson.plugins.folder.properties.AuthorizationMatrixProperty"
INHERITING = "org.jenkinsci.plugins.matrixauth.inheritance.InheritParentStrategy"
_BLOCKING = "org.jenkinsci.plugins.matrixauth.inheritance.NonInheritingStrategy"
Entry = tuple[str, str, str]
"""Kind of the sid (USER, GROUP or EITHER), permission, sid."""


def rewritten(matrix: ET.Element, known: frozenset[str]) -> ET.Element:
    """Return the property as Jenkins writes it: sorted, without permissions that it does not know."""
    kept = ET.Element(MATRIX, {"plugin": "matrix-auth@3.2.6"})
    strategy = matrix.find("inheritanceStrategy")
    ET.SubElement(kept, "inheritanceStrategy", {"class": INHERITING if strategy is None else strategy.get("class", "")})
    entries = {entry for each in matrix.iterfind("permission") if (entry := _entry(each.text or "")) is not None}
    for kind, permission, sid in sorted(entries, key=lambda entry: (entry[1], entry[0], entry[2])):
        if permission in known:
            prefix = "" if kind == "EITHER" else f"{kind}:"
            ET.SubElement(kept, "permission").text = f"{prefix}{permission}:{sid}"
    return kept


def entries_of(root: ET.Element) -> Iterator[Entry]:
    """Yield the entries of a folder's document."""
    for each in root.iterfind(f"properties/{MATRIX}/permission"):
        entry = _entry(each.text or "")
        if entry is not None:
            yield entry


def blocks_inheritance(root: ET.Element) -> bool:
    strategy = root.find(f"properties/{MATRIX}/inheritanceStrategy")
    return strategy is not None and strategy.get("class") == _BLOCKING


def _entry(text: str) -> Entry | None:
    kind, _, rest = text.partition(":")
    if kind not in ("USER", "GROUP"):
        kind, rest = "EITHER", text
    permission, colon, sid = rest.partition(":")
    return (kind, permission.strip(), sid.strip()) if colon and sid.strip() else None

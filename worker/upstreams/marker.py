"""Our marker in a text that people may edit, too: a description, a note."""

from __future__ import annotations


def is_line_of(text: str | None, marker: str) -> bool:
    """Say whether one of the lines of `text` is the marker, whole.

    Blanks do not matter, nor do line ends: a browser ends the lines of a text area with CR LF.
    """
    return marker in (line.strip() for line in (text or "").splitlines())

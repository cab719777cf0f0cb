"""Text of others, made fit for pages and terminals: without characters that nobody sees, and without markup."""

from __future__ import annotations

import re

_INVISIBLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"  # control characters; line ends and tabs stay
    "\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb"  # zero width, other directions, new lines
    "\ud800-\udfff"  # half a character
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_COLOURS = re.compile(r"\x1b\[[0-9;]{0,32}m")
_QUOTED = re.compile("(?::? )?“[^“”]*(?:”|$)")  # a reason may have been cut
_PLAIN_QUOTES = str.maketrans({"“": '"', "”": '"'})
_HARMLESS = str.maketrans({"<": "‹", ">": "›"})


def without_invisible(text: str) -> str:
    """Return the text without control, bidirectional and zero-width characters; its lines end in LF, its tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    return _INVISIBLE.sub("", _COLOURS.sub("", text.replace("\r\n", "\n")).replace("\r", "\n"))


def quoted(words: str) -> str:
    """Return somebody else's words within a sentence of ours: `own_words` takes them out again."""
    return "“" + words.translate(_PLAIN_QUOTES) + "”"


def own_words(reason: str) -> str:
    """Return a reason without what it quotes: what an upstream says in general is for those who operate it."""
    return _QUOTED.sub("", reason) if "“" in reason else reason


def harmless(text: str) -> str:
    """Return the text as any page may show it: nothing invisible, and angle brackets that begin no tag."""
    return without_invisible(text).translate(_HARMLESS)

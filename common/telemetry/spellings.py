"""Secrets in text, however they are spelt: as they are, in base64, hex, URLs, JSON, HTML, escapes, backwards.

A page that echoes a request may show its headers decoded, encoded, or as a dump of bytes. A text is searched for each
spelling as it is; no pattern is involved, so the time is linear in the text.
"""

from __future__ import annotations

import html
import json
from base64 import b64encode
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

HIDDEN = "•••"
SHORTEST = 4  # a shorter one would be removed from other words
_EDGE = 4  # base64 letters beside the certain ones, which a neighbour's bits are mixed into
_BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=")


def spellings(secret: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the spellings of one secret, longest first, and those in base64, which may lie amid other letters."""
    raw = secret.encode("utf-8", "surrogatepass")
    percent = "".join(f"%{byte:02X}" for byte in raw)
    escaped = json.dumps(secret)[1:-1]
    codes = [ord(char) for char in secret]
    wide = secret.encode("utf-16-be", "surrogatepass")
    units = [wide[at : at + 2].hex() for at in range(0, len(wide), 2)]
    plain = {
        secret,
        secret[::-1],
        raw.hex(),
        raw.hex().upper(),
        quote(secret.encode(errors="replace"), safe=""),
        quote(secret.encode(errors="replace")),
        quote_plus(secret.encode(errors="replace")),
        percent,
        percent.lower(),
        escaped,
        escaped.replace("/", "\\/"),
        json.dumps(secret, ensure_ascii=False)[1:-1],
        html.escape(secret),
        html.escape(secret).replace("&#x27;", "&#39;"),
        "".join(f"&#{code};" for code in codes),
        "".join(f"&#x{code:x};" for code in codes),
        "".join(f"&#x{code:X};" for code in codes),
        "".join(f"\\u{unit}" for unit in units),
        "".join(f"\\u{unit.upper()}" for unit in units),
        "".join(f"\\x{byte:02x}" for byte in raw),
        "".join(f"\\x{byte:02X}" for byte in raw),
    }
    encoded = {_letters_of(raw, before) for before in range(3)}
    encoded |= {each.replace("+", "-").replace("/", "_") for each in encoded}
    certain = tuple(sorted((each for each in encoded if len(each) >= SHORTEST), key=len, reverse=True))
    return tuple(sorted(plain, key=len, reverse=True)), certain


def _letters_of(raw: bytes, before: int) -> str:
    """Return the letters of base64 that `raw` alone decides when `before` bytes of a group of three come first."""
    text = b64encode(bytes(before) + raw).decode()
    after = {0: 0, 1: 3, 2: 2}[(before + len(raw)) % 3]  # the padding, and the letter that the next byte shares
    return text[{0: 0, 1: 2, 2: 3}[before] : len(text) - after]


class Secrets:
    """A set of secrets, and the text without them."""

    def __init__(self, secrets: Iterable[str], *, shortest: int = SHORTEST) -> None:
        values = sorted({each for each in secrets if len(each) >= shortest}, key=len, reverse=True)
        spelt = [spellings(each) for each in values]
        self.values = frozenset(values)
        self._plain = sorted({word for plain, _ in spelt for word in plain}, key=len, reverse=True)
        self._encoded = sorted({word for _, encoded in spelt for word in encoded}, key=len, reverse=True)

    def hide(self, text: str, instead: str = HIDDEN) -> str:
        """Return the text with each secret replaced, in whichever spelling."""
        for word in self._plain:
            if word in text:
                text = text.replace(word, instead)
        for word in self._encoded:
            if word in text:
                text = _without_encoded(text, word, instead)
        return text


def _without_encoded(text: str, word: str, instead: str) -> str:
    """Replace a run of base64, and the letters at its edges, which hold bits of the secret, too."""
    parts: list[str] = []
    at = 0
    while (start := text.find(word, at)) >= 0:
        end = start + len(word)
        begin, last = max(at, start - _EDGE), min(len(text), end + _EDGE)
        while start > begin and text[start - 1] in _BASE64:
            start -= 1
        while end < last and text[end] in _BASE64:
            end += 1
        parts += [text[at:start], instead]
        at = end
    return "".join([*parts, text[at:]])

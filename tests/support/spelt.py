"""How a page may spell what it was sent, written without the code that hides it."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus

ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "backwards": lambda text: text[::-1],
    "hex": lambda text: text.encode().hex(),
    "HEX": lambda text: text.encode().hex().upper(),
    "url": lambda text: quote(text, safe=""),
    "url, slashes stay": quote,
    "form": quote_plus,
    "every byte of a url": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "json": lambda text: json.dumps(text)[1:-1],
    "json, letters stay": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "html": html.escape,
    "html, numbers": lambda text: "".join(f"&#{ord(char)};" for char in text),
    "html, hexadecimal": lambda text: "".join(f"&#x{ord(char):x};" for char in text),
    "escapes": lambda text: "".join(f"\\x{byte:02x}" for byte in text.encode()),
    "unicode": lambda text: "".join(f"\\u{ord(char):04x}" for char in text),
    **{f"base64, after {n}": lambda text, n=n: base64.b64encode(b"i" * n + text.encode()).decode() for n in range(4)},
    **{
        f"base64, before {n}": lambda text, n=n: base64.urlsafe_b64encode(b"me:" + text.encode() + b"z" * n).decode()
        for n in range(4)
    },
}


def is_shown(secret: str, text: str) -> bool:
    """Say whether the text shows the secret in any spelling, amid other letters of base64, too."""
    return any(encode(secret) in text for encode in ENCODINGS.values()) or any(part in text for part in _inner(secret))


def _inner(secret: str) -> list[str]:
    """Return the letters of base64 in the middle of the secret, whatever is before and after it."""
    encoded = [base64.b64encode(b"i" * n + secret.encode() + b"z" * 3).decode()[4:-8] for n in range(3)]
    return [each for each in encoded if len(each) > 5]

"""What does an upstream say about a failure, in words that may be shown to a user?

Upstreams put their reason into a string, a list, an object of lists, an HTML page, or nowhere. Whatever it is, it comes
out as one short line without markup, control characters, or a secret that we sent and they echoed.
"""

from __future__ import annotations

import html
import json
import re
import unicodedata
from typing import Any
from urllib.parse import quote

_MAX_CHARS = 300
_MAX_DEPTH = 5
_LOOKED_AT_BYTES = 16 * 1024
_TELLING = ("reason", "message", "error_description", "error")
_SILENT_MARKUP = re.compile(r"<(script|style|head)\b.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^<>]*>")


def reason_in(body: bytes, *, secrets: tuple[str, ...] = ()) -> str:
    """Return the reason found in an answer's body, "" when there is none."""
    text = body[:_LOOKED_AT_BYTES].decode("utf-8", "replace")
    try:
        said = spoken(json.loads(text))
    except (ValueError, RecursionError):
        said = text
    return cleaned(said, secrets=secrets)


def spoken(value: Any, depth: int = 0) -> str:
    """Return the words in a decoded error: its telling key if it has one, else `key: words` for each key."""
    if depth > _MAX_DEPTH or value is None or isinstance(value, bool):
        return ""
    if isinstance(value, dict):
        for key in _TELLING:
            if value.get(key):
                return spoken(value[key], depth + 1)
        parts = [(str(key), spoken(inner, depth + 1)) for key, inner in value.items()]
        return "; ".join(f"{key}: {words}" for key, words in parts if words)
    if isinstance(value, list):
        return "; ".join(filter(None, (spoken(inner, depth + 1) for inner in value)))
    return str(value)


def cleaned(text: str, *, secrets: tuple[str, ...] = ()) -> str:
    """Return `text` as one line of 300 characters at most: no markup, no control characters, no secret."""
    text = _scrubbed(text, secrets)
    text = html.unescape(_TAG.sub(" ", _SILENT_MARKUP.sub(" ", text)))
    text = "".join(" " if unicodedata.category(char)[0] in "CZ" else char for char in text)
    text = _scrubbed(" ".join(text.split()), secrets)
    return text if len(text) <= _MAX_CHARS else text[: _MAX_CHARS - 1] + "…"


def _scrubbed(text: str, secrets: tuple[str, ...]) -> str:
    """Replace each secret, also in the spellings that a page, a URL or a JSON string gives it."""
    for secret in filter(None, secrets):
        spellings = {secret, html.escape(secret), quote(secret, safe=""), json.dumps(secret)[1:-1]}
        for spelling in sorted(spellings, key=len, reverse=True):
            text = text.replace(spelling, "•••")
    return text

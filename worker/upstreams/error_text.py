"""An upstream's reason for a failure, as text that may be shown to a user.

Upstreams put their reason into a string, a list, an object of lists, an HTML page, or nowhere. Whatever it is, the
result is one short line without markup, control characters, or a secret that we sent and they echoed.
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
_MAX_READ_BYTES = 16 * 1024
_REASON_KEYS = ("reason", "message", "error_description", "error")
_HIDDEN_ELEMENT = re.compile(r"<(script|style|head)\b.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^<>]*>")


def reason_in(body: bytes, *, secrets: tuple[str, ...] = ()) -> str:
    """Return the reason found in a reply's body, "" when there is none."""
    text = body[:_MAX_READ_BYTES].decode("utf-8", "replace")
    try:
        reason = text_in(json.loads(text))
    except (ValueError, RecursionError):
        reason = text
    return cleaned(reason, secrets=secrets)


def text_in(value: Any, depth: int = 0) -> str:
    """Return the text in a decoded error: of its reason key if it has one, else `key: text` for each key."""
    if depth > _MAX_DEPTH or value is None or isinstance(value, bool):
        return ""
    if isinstance(value, dict):
        for key in _REASON_KEYS:
            if value.get(key):
                return text_in(value[key], depth + 1)
        parts = [(str(key), text_in(inner, depth + 1)) for key, inner in value.items()]
        return "; ".join(f"{key}: {inner}" for key, inner in parts if inner)
    if isinstance(value, list):
        return "; ".join(filter(None, (text_in(inner, depth + 1) for inner in value)))
    return str(value)


def cleaned(text: str, *, secrets: tuple[str, ...] = ()) -> str:
    """Return `text` as one line of 300 characters at most: no markup, no control characters, no secret."""
    text = _scrubbed(text, secrets)
    text = html.unescape(_TAG.sub(" ", _HIDDEN_ELEMENT.sub(" ", text)))
    text = "".join(" " if unicodedata.category(char)[0] in "CZ" else char for char in text)
    text = _scrubbed(" ".join(text.split()), secrets)
    return text if len(text) <= _MAX_CHARS else text[: _MAX_CHARS - 1] + "…"


def _scrubbed(text: str, secrets: tuple[str, ...]) -> str:
    """Replace each secret, also as a page, a URL or a JSON string spells it."""
    for secret in filter(None, secrets):
        spellings = {secret, html.escape(secret), quote(secret, safe=""), json.dumps(secret)[1:-1]}
        for spelling in sorted(spellings, key=len, reverse=True):
            text = text.replace(spelling, "•••")
    return text

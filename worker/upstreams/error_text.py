"""An upstream's reason for a failure, as text that may be shown to a user.

Upstreams put their reason into a string, a list, an object of lists, an HTML page, or nowhere. Whatever it is, the
result is one short line without markup, invisible characters, or a secret that we sent and they echoed. Texts may be
megabytes, and made to be slow: each is cut before any pattern sees it, and every pattern takes linear time.
"""

from __future__ import annotations

import html
import json
import re
from typing import Any

from common.plain_text import harmless, without_invisible
from common.telemetry import sent
from common.telemetry.spellings import Secrets

READ_CHARACTERS = 16 * 1024
_MAX_CHARS = 300
_MAX_DEPTH = 5
_LONGEST_SECRET = 8 * 1024  # as it may be spelt
_ROUNDS = 6
_REASON_KEYS = ("reason", "message", "error_description", "error")
_TAG = re.compile(r"<(/?)([a-zA-Z]{0,16})[^<>]*>")
_AMPERSANDS = re.compile(r"&(?:amp;|#38;|#x26;)+", re.IGNORECASE)
_CHOSEN = {  # what a person chooses at a sign-up, and how upstreams call it
    "password": re.compile("password", re.IGNORECASE),
    "name": re.compile("(?<!role )name", re.IGNORECASE),
    "e-mail address": re.compile("e-?mail", re.IGNORECASE),
}
_HIDDEN_ELEMENTS = frozenset({"script", "style", "head"})


def reason_in(body: bytes, *, secrets: tuple[str, ...] = ()) -> str:
    """Return the reason found in a reply's body, "" when there is none."""
    text = body[:READ_CHARACTERS].decode("utf-8", "replace")
    try:
        reason = text_in(json.loads(text))
    except (ValueError, RecursionError):
        reason = body[: READ_CHARACTERS + _LONGEST_SECRET].decode("utf-8", "replace")
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


def cleaned(text: str, *, secrets: tuple[str, ...] = (), at_most: int = _MAX_CHARS) -> str:
    """Return `text` as one line of `at_most` characters: no markup, nothing invisible, none of the secrets we sent.

    What is longer than 16 KiB is read no further. A secret is searched for before the cut and after the cleaning: an
    upstream may have spelt it in either.
    """
    hidden = Secrets(secrets)
    text = " ".join(_without_markup(_decoded(_bounded(text, hidden))).split())
    text = harmless(_hide(text, hidden))
    return text if len(text) <= at_most else text[: at_most - 1] + "…"


def bounded(text: str, *, secrets: tuple[str, ...] = ()) -> str:
    """Return the first 16 KiB of `text`, without a secret, of which the cut might leave a half."""
    return _bounded(text, Secrets(secrets))


def what_to_change(why: str) -> str:
    """Return what goes on a sentence about a refused account, in our words: whoever signs up does not see theirs.

    "" when the reason names nothing that the person has chosen.
    """
    fields = [field for field, pattern in _CHOSEN.items() if pattern.search(why)]
    return f": change the {' or the '.join(fields)}" if fields else ""


def _bounded(text: str, hidden: Secrets) -> str:
    return _hide(text[: READ_CHARACTERS + _LONGEST_SECRET], hidden)[:READ_CHARACTERS]


def _hide(text: str, hidden: Secrets) -> str:
    return hidden.hide(sent.hide(text))


def _decoded(text: str) -> str:
    """Return the text without entities: decoded until it is stable, for markup may be wrapped more than once."""
    for _ in range(_ROUNDS):
        decoded = html.unescape(_AMPERSANDS.sub("&", without_invisible(text)))
        if decoded == text:
            return text
        text = decoded
    return text.replace("&", " ")  # nobody writes like this who means well


def _without_markup(text: str) -> str:
    """Return the text between the tags, but for what a page would not show: scripts, styles and its head."""
    parts: list[str] = []
    hidden, at = "", 0
    for tag in _TAG.finditer(text):
        closes, name = bool(tag[1]), tag[2].lower()
        if not hidden:
            parts.append(text[at : tag.start()])
        if not closes and name in _HIDDEN_ELEMENTS and not hidden:
            hidden = name
        elif (closes and name == hidden) or (name == "body" and hidden == "head"):
            hidden = ""
        at = tag.end()
    return " ".join(parts if hidden else [*parts, text[at:]])

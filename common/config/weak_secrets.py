"""Secrets that protect nothing: repeated characters, values out of documents, passwords that people guess."""

from __future__ import annotations

import base64
import re

FEWEST_IN_A_PASSWORD = 12
FEWEST_DIFFERENT = 8  # characters of a key: 32 random hexadecimal digits have fewer once in 25 million
KEY_CHARACTERS = 32
FEWEST_BYTES = 24  # of a key in base64, as Standard Webhooks has it
_OF_DOCUMENTS = ("changeme", "changeit", "placeholder", "replaceme", "yourtoken", "yourpassword", "xxxxxxxx")
_OF_DOCUMENTS_IN_KEYS = (*_OF_DOCUMENTS, "change", "replace", "example", "0123456789", "1234567890")
_GUESSED_FIRST = re.compile(
    r"(password|passw0rd|secret|token|admin|administrator|root|test|guest|elastic|qwerty|slipway)?\d*"
)
_LONG_NAME = 4  # a shorter one is in many good passwords by chance


def is_weak_key(key: str) -> bool:
    """Say whether a key or token that only programs use is visibly not random."""
    fewest = FEWEST_DIFFERENT if len(key) >= KEY_CHARACTERS else FEWEST_DIFFERENT // 2
    return len(set(key)) < fewest or _is_repeated(key) or _has(key, _OF_DOCUMENTS_IN_KEYS)


def is_signing_key(key: str) -> bool:
    """Say whether a key can sign: `whsec_` and the base64 of 24 bytes or more, or as many characters as any key."""
    encoded = key.removeprefix("whsec_")
    if encoded == key:
        return len(key) >= KEY_CHARACTERS
    try:
        return len(base64.b64decode(encoded, validate=True)) >= FEWEST_BYTES
    except ValueError:
        return False


def is_weak_secret(secret: str) -> bool:
    """Say whether a token or password, whose form others decide, is an example or among the first guesses."""
    return bool(_GUESSED_FIRST.fullmatch(_plain(secret))) or _is_repeated(secret) or _has(secret, _OF_DOCUMENTS)


def is_weak_login(login: str) -> bool:
    """Say whether the password of USER:PASSWORD is short, an example, or contains the user's name."""
    user, _, password = login.partition(":")
    names_user = len(user) >= _LONG_NAME and user.lower() in password.lower()
    return len(password) < FEWEST_IN_A_PASSWORD or names_user or is_weak_secret(password)


def _is_repeated(text: str) -> bool:
    """Say whether it is one piece again and again: moved by that piece, it is found in itself."""
    return text in (text + text)[1:-1]


def _has(text: str, parts: tuple[str, ...]) -> bool:
    plain = _plain(text)
    return any(part in plain for part in parts)


def _plain(text: str) -> str:
    return re.sub(r"[\W_]", "", text.lower())

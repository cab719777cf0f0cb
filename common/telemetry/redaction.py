"""Redaction: the values of secret settings, removed from logs and reports."""

from __future__ import annotations

import json
from typing import Any

from pydantic import SecretStr
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from common.config.settings import CommonSettings

SHORTEST_SECRET = 8  # a shorter one would be removed from other words


def secrets_of(settings: CommonSettings) -> tuple[str, ...]:
    """Return the value of every secret setting, the passwords in addresses, and tokens without the word Bearer."""
    values = [value for name in type(settings).model_fields for value in _flat(getattr(settings, name))]
    texts = [value.get_secret_value() for value in values if isinstance(value, SecretStr)]
    bare = [text.split()[-1] for text in texts if text.split()]
    return tuple(filter(None, {*texts, *bare, *map(_password_in, texts)}))


def _flat(value: object) -> tuple[object, ...]:
    return value if isinstance(value, tuple) else (value,)


def _password_in(address: str) -> str:
    try:
        return str(make_url(address).password or "")
    except (ArgumentError, ValueError):
        return ""


class Redaction:
    """The last processor of a log line: it removes every value of a secret setting."""

    def __init__(self, settings: CommonSettings) -> None:
        secrets = {secret for secret in secrets_of(settings) if len(secret) >= SHORTEST_SECRET}
        in_json = {json.dumps(secret)[1:-1] for secret in secrets}
        self._secrets = sorted(secrets | in_json, key=len, reverse=True)  # an address before the password in it

    def __call__(self, _logger: object, _method: str, line: Any) -> str:
        text = str(line)
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

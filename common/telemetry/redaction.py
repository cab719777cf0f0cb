"""Redaction: the values of secret settings, removed from logs and reports."""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from common.config.settings import CommonSettings
from common.telemetry import sent
from common.telemetry.spellings import Secrets

INSTEAD = "***"
LISTS = ("webhook_urls", "webhook_secret")  # comma-separated: each part is a secret
KEY_PREFIX = "whsec_"
SHORTEST_SECRET = 8  # a shorter one would be removed from other words


def secrets_of(settings: CommonSettings) -> tuple[str, ...]:
    """Return the value of every secret setting, each part of a list, the passwords in addresses, and bare tokens.

    A token is hidden without the word Bearer, too, and a key of a signature without `whsec_`.
    """
    values = [value for name in type(settings).model_fields for value in _flat(getattr(settings, name))]
    whole = [value.get_secret_value() for value in values if isinstance(value, SecretStr)]
    texts = [*whole, *(part.strip() for name in LISTS for part in _text(getattr(settings, name, None)).split(","))]
    bare = [text.split()[-1].removeprefix(KEY_PREFIX) for text in texts if text.split()]
    return tuple(filter(None, {*texts, *bare, *map(_password_in, texts)}))


def _text(value: SecretStr | None) -> str:
    return value.get_secret_value() if value is not None else ""


def _flat(value: object) -> tuple[object, ...]:
    return value if isinstance(value, tuple) else (value,)


def _password_in(address: str) -> str:
    try:
        return str(make_url(address).password or "")
    except (ArgumentError, ValueError):
        return ""


def secrets(settings: CommonSettings) -> Secrets:
    """Return the same, to be hidden in whichever spelling."""
    return Secrets(secrets_of(settings), shortest=SHORTEST_SECRET)


class Redaction:
    """The last processor of a log line: it removes every value of a secret setting, and what this thread has sent."""

    def __init__(self, settings: CommonSettings) -> None:
        self._secrets = secrets(settings)

    def __call__(self, _logger: object, _method: str, line: Any) -> str:
        return sent.hide(self._secrets.hide(str(line), INSTEAD), INSTEAD)

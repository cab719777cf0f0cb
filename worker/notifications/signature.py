"""Signatures of notifications, as Standard Webhooks has them, so that libraries of many languages can check them.

Source: github.com/standard-webhooks/standard-webhooks, "Signature scheme".
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence

PREFIX = "whsec_"


class Signer:
    """Signs with every key, the newest first: receivers accept any one, so keys can be changed one by one."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = [_bytes_of(key) for key in keys]

    def headers(self, notification_id: str, body: bytes, *, at_s: int) -> dict[str, str]:
        """Return the headers of a request: id, time and signature. `at_s` is now, in seconds since the epoch."""
        content = f"{notification_id}.{at_s}.".encode() + body
        macs = (hmac.new(key, content, hashlib.sha256).digest() for key in self._keys)
        return {
            "webhook-id": notification_id,
            "webhook-timestamp": str(at_s),
            "webhook-signature": " ".join(f"v1,{base64.b64encode(mac).decode()}" for mac in macs),
        }


def _bytes_of(key: str) -> bytes:
    """Return what a key stands for: what follows `whsec_` is base64, any other text is taken as it is."""
    return base64.b64decode(key.removeprefix(PREFIX)) if key.startswith(PREFIX) else key.encode()

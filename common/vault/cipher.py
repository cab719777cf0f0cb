"""Encryption of secrets in the database, so that a copy of the database does not reveal them.

AES-256-GCM with a key that is in the settings only. The owner and the purpose are authenticated with it: a
ciphertext moved to another row does not open. The first key seals, every key opens, so keys can be rotated.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

NONCE_BYTES = 12
VAULT, FINGERPRINT = b"slipway vault", b"slipway fingerprint"  # one key each from every configured one


class CannotOpenError(Exception):
    """The secret was sealed with a key that is no longer among SECRET_KEYS, or its row was tampered with."""


class Vault:
    """Seals and opens secrets; never shows a key."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = {_key_id(key): AESGCM(_derive(key, VAULT)) for key in keys}
        self._marks = {_key_id(key): _derive(key, FINGERPRINT) for key in keys}
        self.key_ids = tuple(self._keys)  # newest first
        self.sealing_key_id = self.key_ids[0]

    def fingerprint(self, text: str, *, key_id: str | None = None) -> str:
        """Return a keyed hash (64 hexadecimal digits): without the key nobody can try texts against it.

        `key_id` is that of an earlier one to compare with, None the newest. Raises CannotOpenError when it is gone.
        """
        key = self._marks.get(key_id or self.sealing_key_id)
        if key is None:
            raise CannotOpenError("made with a key that is no longer configured")
        return hmac.new(key, text.encode(), sha256).hexdigest()

    def seal(self, plain: str, *, job_id: str, purpose: str) -> tuple[str, bytes]:
        """Return the id of the key used and nonce + ciphertext."""
        key_id = self.sealing_key_id
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = self._keys[key_id].encrypt(nonce, plain.encode(), _bound_to(job_id, purpose, key_id))
        return key_id, nonce + sealed

    def open(self, key_id: str, sealed: bytes, *, job_id: str, purpose: str) -> str:
        """Return the plain text. Raises CannotOpenError."""
        key = self._keys.get(key_id)
        if key is None:
            raise CannotOpenError("sealed with a key that is no longer configured")
        try:
            nonce, ciphertext = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
            return key.decrypt(nonce, ciphertext, _bound_to(job_id, purpose, key_id)).decode()
        except (InvalidTag, ValueError):  # ValueError: too short to hold a nonce
            raise CannotOpenError("the sealed secret does not belong to this row") from None


def _derive(key: str, info: bytes) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=info).derive(key.encode())


def _key_id(key: str) -> str:
    return sha256(b"slipway key id" + _derive(key, VAULT)).hexdigest()[:16]


def _bound_to(*parts: str) -> bytes:
    return "|".join(parts).encode()

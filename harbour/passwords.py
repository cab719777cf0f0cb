"""Password digests; no state file holds a password."""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache


@lru_cache(maxsize=1_000)  # the same few are needed at every call and every comparison
def digest(password: str, *, owner: str) -> str:
    """Return a digest to store. Salted with the owner's name, so that equal states compare equal."""
    return hashlib.pbkdf2_hmac("sha256", password.encode(), owner.encode(), 1000).hex()


def matches(password: str, stored: str | None, *, owner: str) -> bool:
    return stored is not None and hmac.compare_digest(digest(password, owner=owner), stored)

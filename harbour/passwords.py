"""How are passwords kept, so that no state file holds one?"""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache


@lru_cache(maxsize=1_000)  # a stand-in is asked for the same few again and again: at each call, at each comparison
def digest(password: str, *, owner: str) -> str:
    """Return what may be stored. Salted with the owner's name: the same state always compares equal."""
    return hashlib.pbkdf2_hmac("sha256", password.encode(), owner.encode(), 1000).hex()


def matches(password: str, stored: str | None, *, owner: str) -> bool:
    return stored is not None and hmac.compare_digest(digest(password, owner=owner), stored)

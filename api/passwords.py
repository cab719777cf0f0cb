"""Password hashing: argon2id with OWASP's parameters, and a limit on concurrent hashes."""

from __future__ import annotations

import os
from functools import cache
from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

HASHES_PER_CORE = 2
OWASP = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)  # 19 MiB, about 30 ms


class Passwords:
    """Hashes and verifies passwords; an unknown user takes as long as a wrong password."""

    def __init__(self, hasher: PasswordHasher = OWASP) -> None:
        self._hasher = hasher
        self._slots = BoundedSemaphore((os.cpu_count() or 1) * HASHES_PER_CORE)
        self._dummy_hash = _make_dummy_hash(hasher)

    def hash(self, password: str) -> str:
        with self._slots:
            return self._hasher.hash(password)

    def is_right(self, password: str, stored: str | None) -> bool:
        """Return whether the password matches the stored hash; pass None for a user that does not exist."""
        with self._slots:
            try:
                self._hasher.verify(stored or self._dummy_hash, password)
            except (VerificationError, InvalidHashError):
                return False
        return stored is not None


@cache
def _make_dummy_hash(hasher: PasswordHasher) -> str:
    """Computed once, at the start of a process: the first unknown user must not take longer than the next."""
    return hasher.hash("nobody has this password")

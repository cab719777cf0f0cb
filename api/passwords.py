"""How is a password kept and checked?  argon2id at OWASP's parameters, so many at once as the machine bears."""

from __future__ import annotations

import os
from functools import cache
from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

HASHES_PER_CORE = 2
OWASP = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)  # 19 MiB, about 30 ms


class Passwords:
    """Hashes and verifies; an unknown user costs the same time as a wrong password."""

    def __init__(self, hasher: PasswordHasher = OWASP) -> None:
        self._hasher = hasher
        self._slots = BoundedSemaphore((os.cpu_count() or 1) * HASHES_PER_CORE)
        self._dummy_hash = _make_dummy_hash(hasher)

    def hash(self, password: str) -> str:
        with self._slots:
            return self._hasher.hash(password)

    def is_right(self, password: str, stored: str | None) -> bool:
        """Say whether the password belongs to the stored hash; None is for a user that does not exist."""
        with self._slots:
            try:
                self._hasher.verify(stored or self._dummy_hash, password)
            except (VerificationError, InvalidHashError):
                return False
        return stored is not None


@cache
def _make_dummy_hash(hasher: PasswordHasher) -> str:
    """Made at the start of a process, once: the first unknown user must not take longer than the next."""
    return hasher.hash("nobody has this password")

"""Ids of rows: they grow with time, so that lists need no other order."""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def new_id(*, after: str | None = None) -> str:
    """Return an id of the present time: ordered by time for the index, 74 random bits against guessing.

    It is greater than the id `after`, even if the host that made that one has a clock that is ahead of ours.
    """
    milliseconds = time.time_ns() // 1_000_000
    if after is not None:
        milliseconds = max(milliseconds, milliseconds_of(after) + 1)
    return uuid7(milliseconds, secrets.randbits(74))


def milliseconds_of(made: str) -> int:
    """Return the time of an id, in milliseconds since the epoch."""
    return UUID(made).int >> 80


def first_id(at: datetime) -> str:
    """Return a lower bound of all ids that are made at this time or later."""
    return uuid7((at - EPOCH) // timedelta(milliseconds=1), 0)


def uuid7(milliseconds: int, bits: int) -> str:
    """Return a UUIDv7 (RFC 9562) of a time since the epoch and 74 bits."""
    number = milliseconds << 80 | 0x7 << 76 | bits >> 62 << 64 | 0b10 << 62 | bits & 2**62 - 1
    return str(UUID(int=number))

"""Timestamps in requests: RFC 3339 with a time zone and nothing else, as the published `date-time` promises.

pydantic alone would also accept plain numbers, dates without a time and times without a zone.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator

from common.database.ids import EPOCH

RFC_3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,100}))?(?:Z|([+-])(\d\d):(\d\d))", re.ASCII | re.IGNORECASE
)
MESSAGE = "Use a time with a zone, such as 2030-01-31T09:30:00Z or 2030-01-31T10:30:00+01:00 (write + as %2B in a URL)."
LATEST = datetime.max.replace(tzinfo=UTC)
S_US = 1_000_000


def _parse(value: Any) -> datetime:
    """Return the time, rounded up to a microsecond, and limited to the range that datetime can hold."""
    match = RFC_3339.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(MESSAGE)
    since_us = _local_us(*map(int, match.groups()[:6])) + _fraction_us(match[7]) - _offset_us(*match.groups()[7:])
    return EPOCH + timedelta(microseconds=min(max(0, since_us), _us(LATEST)))


def _local_us(year: int, month: int, day: int, hour: int, minute: int, second: int) -> int:
    """RFC 3339 allows the year 0 and the second 60; Python's datetime allows neither."""
    try:
        at = datetime(year or 4, month, day, hour, minute, min(second, 59), tzinfo=UTC)
    except ValueError:
        raise ValueError(MESSAGE) from None
    if second > 60:
        raise ValueError(MESSAGE)
    return _us(at) + (S_US if second == 60 else 0)


def _fraction_us(digits: str | None) -> int:
    return -(-int(digits) * S_US // 10 ** len(digits)) if digits else 0


def _offset_us(sign: str | None, hours: str | None, minutes: str | None) -> int:
    if sign is None or hours is None or minutes is None:
        return 0
    if int(hours) > 23 or int(minutes) > 59:
        raise ValueError(MESSAGE)
    return int(f"{sign}1") * (int(hours) * 60 + int(minutes)) * 60 * S_US


def _us(at: datetime) -> int:
    return (at - EPOCH) // timedelta(microseconds=1)


Timestamp = Annotated[datetime, BeforeValidator(_parse)]

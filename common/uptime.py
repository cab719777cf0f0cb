"""The machine's uptime: a clock that is never set, and that does not stand still while the machine is suspended."""

from __future__ import annotations

import time

# Python's monotonic clock is Linux's CLOCK_MONOTONIC, which stands still then: a worker on a virtual machine that was
# paused for an hour would believe that its attempt has begun just now.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def uptime_s() -> float:
    """Return the seconds since the machine was started, those in which it was suspended included."""
    return time.clock_gettime(_CLOCK)

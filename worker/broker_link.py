"""What a worker knows about its way to the broker: whether it takes messages, and since when it does not.

The consumer (`worker/consumer.py`) reports here; the clock asks, and runs lanes without messages meanwhile.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable

from common.broker_errors import TroubleReport
from common.telemetry.metrics import WORKER_BROKER_UP

log = logging.getLogger(__name__)

Hook = Callable[[], None]


def _ignore() -> None:
    """Do nothing: nobody listens."""


class BrokerLink:
    """`lost` and `regained` come from the main thread; anyone may ask. The log has one line for each cause."""

    def __init__(self, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._lost_at_s: float | None = None
        self._report = TroubleReport(log, away="broker_away", back="broker_back")
        self.on_turn: Hook = _ignore  # called while the main thread waits for the broker: it is alive

    @property
    def is_lost(self) -> bool:
        """Say whether this worker takes no messages. One that has not tried yet is not counted as such."""
        return self._lost_at_s is not None

    @property
    def lost_at_s(self) -> float:
        """Return since when this worker takes no messages, on the monotonic clock; infinity while it takes some."""
        return math.inf if self._lost_at_s is None else self._lost_at_s

    def lost(self, error: BaseException) -> None:
        """Note that no messages come, because of this error."""
        self._report.failed(error)
        WORKER_BROKER_UP.set(0)
        if self._lost_at_s is None:
            self._lost_at_s = self._clock_s()

    def regained(self) -> None:
        """Note that messages come."""
        self._report.works()
        WORKER_BROKER_UP.set(1)
        self._lost_at_s = None

"""Threads that do something periodically, and outlive its failures."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from worker import telemetry

log = logging.getLogger(__name__)

STOPS_WITHIN_S = 5.0
PAUSE_S = 0.05  # between two rounds at least, however often it is woken


class PeriodicThread:
    """Calls `work` every `every_s` between `start` and `stop`, and soon after `wake`."""

    def __init__(self, name: str, work: Callable[[], Any], *, every_s: float) -> None:
        self._name = name
        self._work = work
        self._every_s = every_s
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread, if it was started; a round that is running is waited for, for a limited time."""
        self._stopping.set()
        self._woken.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=STOPS_WITHIN_S)

    def wake(self) -> None:
        self._woken.set()

    def _run(self) -> None:
        while True:
            self._woken.wait(self._every_s)
            self._woken.clear()
            if self._stopping.is_set():
                return
            try:
                with telemetry.tick(self._name):
                    self._work()
            except Exception:
                log.exception("tick_failed", extra={"ticker": self._name})
            self._stopping.wait(PAUSE_S)

"""A program for `tests/integration/worker/test_without_broker.py`: a consumer that connects again and again, no pauses.

Prints after each tenth of the tries what it holds, callbacks and timers of the loop, open files, threads, and
how many lines it has logged.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from common.broker import celery_app
from common.config.settings import CommonSettings
from worker import consumer, transport
from worker.broker_link import BrokerLink


class Lines(logging.Handler):
    """Counts what is logged."""

    count = 0

    def emit(self, record: logging.LogRecord) -> None:
        if "Frequent restarts" not in record.getMessage():  # Celery's own; there are none with pauses
            self.count += 1


LINES = Lines(logging.INFO)


class Counting(BrokerLink):
    """Ends the program after so many tries."""

    def __init__(self, worker: Any, tries: int) -> None:
        super().__init__()
        self._worker = worker
        self._left = self._tries = tries

    def lost(self, error: BaseException) -> None:
        super().lost(error)
        self._left -= 1
        if self._left % (self._tries // 10) == 0:
            gc.collect()
            files = len(list(Path("/proc/self/fd").iterdir()))
            hub = self._worker().consumer.hub
            held = {
                "callbacks": len(hub.on_tick),
                "timers": sum(not entry.canceled for _, _, entry in hub.timer.queue),
                "files": files,
                "threads": threading.active_count(),
                "lines": LINES.count,
            }
            sys.stdout.write(json.dumps(held) + "\n")
        if not self._left:
            sys.stdout.flush()
            os._exit(0)  # without a farewell to the broker


def main(url: str, tries: int) -> None:
    logging.basicConfig(level=logging.INFO, handlers=[LINES])
    consumer.FIRST_PAUSE_S = consumer.LONGEST_PAUSE_S = 0.0
    transport.install()
    app = celery_app(CommonSettings(_env_file=None, redis_url=SecretStr(url)), publishing_s=2.0)
    app.conf.worker_consumer = partial(consumer.LeanConsumer, link=Counting(lambda: worker, tries))
    worker = app.WorkController(concurrency=2, loglevel="INFO")
    worker.start()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

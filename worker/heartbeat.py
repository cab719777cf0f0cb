"""The worker's heartbeat: a file that it rewrites while it works, read by `worker/healthcheck.py`.

What must keep turning is Celery's main loop, because it takes the messages, or tries to connect again. One call to a
broker may hold it for longer; a restart would not help then, so a thread asks the broker before it stops writing.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from celery import Celery
from celery.signals import worker_init, worker_ready, worker_shutdown, worker_shutting_down
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from worker.broker_link import BrokerLink
from worker.healthcheck import HeartbeatRecord
from worker.liveness import WorkerRegister
from worker.periodic import PeriodicThread

BEAT_S = 1.0
STALLED_AFTER_S = 3.0
ANSWERS_WITHIN_S = 2.0


class Heartbeat:
    """`turned` is called by the main loop, `beat` by a thread, `end` when the worker begins to stop."""

    def __init__(
        self,
        write_heartbeat: Callable[[HeartbeatRecord], None],
        broker_answers: Callable[[], bool],
        *,
        broker_lost_at_s: Callable[[], float] = lambda: math.inf,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write_heartbeat = write_heartbeat
        self._broker_lost_at_s = broker_lost_at_s
        self._broker_answers = broker_answers
        self._clock_s = clock_s
        self._began_at_s = clock_s()
        self._turned_at_s = -math.inf
        self._is_ending = False

    def turned(self) -> None:
        self._turned_at_s = self._clock_s()

    def end(self) -> None:
        """From now on the main loop waits for the steps that run."""
        self._is_ending = True

    def beat(self) -> None:
        """Write a heartbeat, unless the main loop stands still though the broker answers. Raises OSError."""
        turned_at_s = max(self._turned_at_s, self._began_at_s)
        is_stalled = self._clock_s() - turned_at_s > STALLED_AFTER_S and not self._is_ending
        if not is_stalled or not self._broker_answers():
            record = HeartbeatRecord(
                at_s=self._clock_s(), turned_at_s=self._turned_at_s, broker_lost_at_s=self._broker_lost_at_s()
            )
            self._write_heartbeat(record)


def watch(app: Celery, register: WorkerRegister, link: BrokerLink) -> None:
    """Write heartbeats from before the worker connects until it has ended."""
    heartbeat = Heartbeat(register.write_heartbeat, partial(_answers, app), broker_lost_at_s=lambda: link.lost_at_s)
    thread = PeriodicThread("pulse", heartbeat.beat, every_s=BEAT_S)
    link.on_turn = heartbeat.turned  # without the broker, the main loop waits for it, and our own threads take work

    def ready(sender: Any, **_: Any) -> None:
        sender.timer.call_repeatedly(BEAT_S, heartbeat.turned)  # a timer of the main loop, that is: of its thread

    worker_init.connect(lambda **_: thread.start(), weak=False)
    worker_ready.connect(ready, weak=False)
    worker_shutting_down.connect(lambda **_: heartbeat.end(), weak=False)
    worker_shutdown.connect(lambda **_: thread.stop(), weak=False)


def _answers(app: Celery) -> bool:
    """Say whether the broker answers, within seconds."""
    try:
        with app.connection_for_read() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=ANSWERS_WITHIN_S)
            connection.default_channel.client.ping()
    except (OperationalError, RedisError, OSError):
        return False
    return True

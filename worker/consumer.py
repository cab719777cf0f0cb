"""A Celery consumer that outlives its broker: whatever goes wrong on the way, it waits, connects again and goes on.

Celery's own ends the worker at each answer of Redis that is an error, such as `READONLY` after a failover, and so on
all hosts at once. It only takes tasks and exchanges nothing with other workers, whatever its options.
"""

from __future__ import annotations

import contextlib
import logging
import random
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from celery.utils.threads import bound_open_broker_sockets
from celery.worker.consumer import Consumer
from celery.worker.state import maybe_shutdown

from common.broker_errors import BROKER_ERRORS
from worker import transport
from worker.broker_link import BrokerLink

# Gossip and mingle cost a second of start-up; the heartbeat's publish can stall a worker while the broker is away.
LEAN = {"without_gossip": True, "without_mingle": True, "without_heartbeat": True}
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 5.0
DOUBLINGS = 8
STEADY_S = 2.0  # the broker answers each second; an error that each connection meets comes before this
CLOSES_WITHIN_S = 2.0
LOOKS_EVERY_S = 0.1  # whether the worker is to end

logging.getLogger("celery.worker.consumer.connection").setLevel(logging.WARNING)  # a line for each try to connect


class LeanConsumer(Consumer):  # type: ignore[misc] # Celery ships no types
    """Celery's own, as with `--without-gossip --without-mingle --without-heartbeat`, and without an end by an error."""

    def __init__(
        self, *args: Any, link: BrokerLink, worker_options: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, worker_options={**(worker_options or {}), **LEAN}, **kwargs)
        self.connection_errors = (Exception,)  # after any of them `start` connects again
        self._link = link
        self._failures = 0
        self._becomes_steady: Any = None  # the timer's entry
        self._ticks_of_others: frozenset[Any] = frozenset()

    # -- the connection -------------------------------------------------------------------------------------------

    def connect(self) -> Any:
        """Return a new connection; one that cannot be used is closed, which Celery leaves open."""
        connection = self.connection_for_read(heartbeat=self.amqheartbeat)
        if self.hub is not None:
            self._ticks_of_others = frozenset(self.hub.on_tick)
            try:
                connection.transport.register_with_event_loop(connection.connection, self.hub)
            except Exception:
                _discard(connection)
                raise
        return connection

    def ensure_connected(self, conn: Any) -> Any:
        """Connect, or raise: only `start` waits and repeats. Each of several addresses is tried once."""
        tries = max(1, len(conn.alt or ()))
        return conn.ensure_connection(max_retries=tries, interval_start=0, interval_step=0, callback=maybe_shutdown)

    def on_ready(self) -> None:
        super().on_ready()
        self._becomes_steady = self.timer.call_after(STEADY_S, self._is_steady)

    def _is_steady(self) -> None:
        self._failures = 0
        self._link.regained()

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        self._wait_after(exc)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Close what is left of the connection."""
        connection = self.connection  # type: ignore[has-type] # Celery's own sets it
        self.connection = None
        if self.event_dispatcher:
            self.event_dispatcher.enabled = False  # or each step that ends would wait for the broker
        _discard(connection)
        self._wait_after(exc)

    def _wait_after(self, error: Exception) -> None:
        """Wait before the next try, ever longer, and end when the worker is to end."""
        if self._becomes_steady is not None:
            self.timer.cancel(self._becomes_steady)
        if self.hub is not None:  # the transport adds one with each connection, and removes none
            self.hub.on_tick.intersection_update(self._ticks_of_others)
        self._link.lost(error)
        pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(self._failures, DOUBLINGS))
        self._failures += 1
        until_s = time.monotonic() + pause_s * random.uniform(0.5, 1.0)  # noqa: S311 - spreads tries, guards nothing
        while time.monotonic() < until_s:
            maybe_shutdown()
            self._link.on_turn()
            time.sleep(LOOKS_EVERY_S)

    # -- messages -------------------------------------------------------------------------------------------------

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        take = super().create_task_handler(*args, **kwargs)

        def on_task_received(message: Any) -> None:
            try:
                take(message)
            except BROKER_ERRORS:
                raise
            except Exception as error:  # noqa: BLE001 - there is no list of all that garbage can cause
                self._reject(message, error)

        return on_task_received

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        self._reject(message, exc)

    def on_unknown_message(self, _body: Any, message: Any) -> None:
        self._reject(message, TypeError("not a task"))

    def on_unknown_task(self, _body: Any, message: Any, exc: Exception) -> None:
        self._reject(message, exc)

    def on_invalid_task(self, _body: Any, message: Any, exc: Exception) -> None:
        self._reject(message, exc)

    def _reject(self, message: Any, error: Exception) -> None:
        """Drop a message. Celery's own lines in the log quote it."""
        transport.reject(error)
        if not message.acknowledged:
            message.reject()


def _discard(connection: Any) -> None:
    """Close a connection whose server may be silent, or answer with errors."""
    bound_open_broker_sockets(connection, CLOSES_WITHIN_S)
    for close in (partial(connection.collect, socket_timeout=CLOSES_WITHIN_S), connection.close):
        with contextlib.suppress(Exception):
            close()

"""Transports of Redis and Sentinel for a worker: any error of the broker is a lost connection, garbage is dropped.

kombu's own let a message that cannot be read, and an answer such as `READONLY`, end the consumer. Neither is a reason:
the database has every job, and the connection can be made again.
"""

from __future__ import annotations

import logging
from queue import Empty
from typing import Any

from kombu import transport
from kombu.transport import redis
from redis.exceptions import RedisError

from common.broker_errors import BROKER_ERRORS

log = logging.getLogger(__name__)

NOT_THE_MESSAGE = (*BROKER_ERRORS, Empty)  # what comes of the connection, or means that there is nothing


def reject(error: Exception) -> None:
    """Log that a message was dropped; its text is anybody's, and stays out."""
    log.warning("message_rejected", extra={"error": type(error).__name__})


class _QoS(redis.QoS):
    """The messages that a worker has, and how many more it may take.

    One that the broker does not let it acknowledge leaves its place all the same, or a worker whose places are all
    taken so would never take a message again. The broker gives such a message out once more; it ends at a step that
    is done.
    """

    def ack(self, delivery_tag: str) -> None:
        try:
            super().ack(delivery_tag)  # type: ignore[no-untyped-call] # kombu ships no types
        except Exception:
            self._quick_ack(delivery_tag)
            raise

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        try:
            super().reject(delivery_tag, requeue=requeue)  # type: ignore[no-untyped-call] # as above
        except Exception:
            self._quick_ack(delivery_tag)
            raise


class _Channel:
    """A channel that drops what cannot be read as a message, and closes its sockets whatever the broker says."""

    QoS = _QoS

    def close(self) -> None:
        try:
            super().close()  # type: ignore[misc] # a mixin: the other base has it
        except BROKER_ERRORS:  # it deletes its queue first, which a replica refuses; each try would leave sockets open
            self._disconnect_pools()  # type: ignore[attr-defined] # as above
            self._close_clients()  # type: ignore[attr-defined] # as above
            self.closed = True

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[misc] # as above
        except NOT_THE_MESSAGE:
            raise
        except Exception as error:  # noqa: BLE001 - there is no list of all that garbage can cause
            reject(error)
            return True

    def _receive_one(self, client: Any) -> Any:
        try:
            return super()._receive_one(client)  # type: ignore[misc] # as above
        except NOT_THE_MESSAGE:
            raise
        except Exception as error:  # noqa: BLE001 - as above
            reject(error)
            return False


class RedisChannel(_Channel, redis.Channel):
    """kombu's own, as above."""


class SentinelChannel(_Channel, redis.SentinelChannel):
    """kombu's own, as above."""


class RedisTransport(redis.Transport):
    """kombu's own, for which each error that Redis answers is one of the connection."""

    Channel = RedisChannel
    connection_errors = (*redis.Transport.connection_errors, RedisError)


class SentinelTransport(redis.SentinelTransport):
    """As `RedisTransport`."""

    Channel = SentinelChannel
    connection_errors = RedisTransport.connection_errors


def install() -> None:
    """Let this process use these transports for the schemes of our addresses."""
    ours = f"{__name__}:{RedisTransport.__name__}"
    sentinel = f"{__name__}:{SentinelTransport.__name__}"
    transport.TRANSPORT_ALIASES.update(redis=ours, rediss=ours, sentinel=sentinel)

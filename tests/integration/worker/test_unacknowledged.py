"""A broker that refuses an acknowledgement takes nothing from the worker: it could stop taking messages otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from kombu import Connection, Producer, Queue
from redis.exceptions import RedisError
from support.redis_server import RedisServer, redis_server

from worker import transport


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path / "redis") as redis:
        yield redis


@pytest.mark.parametrize("end", ["ack", "reject", "requeue"])
def test_a_message_that_cannot_be_acknowledged_leaves_its_place_to_another(redis: RedisServer, end: str) -> None:
    with Connection(redis.url, transport=transport.RedisTransport) as connection:
        queue = Queue("lane", channel=connection.channel())
        Producer(queue.channel).publish({}, routing_key="lane", declare=[queue])
        queue.channel.basic_qos(0, 1, False)
        message = queue.get()
        assert message is not None
        assert not queue.channel.qos.can_consume()

        redis.admin.execute_command("REPLICAOF", "127.0.0.1", "1")
        with pytest.raises(RedisError):
            getattr(message, end)()

        assert queue.channel.qos.can_consume()
        redis.admin.execute_command("REPLICAOF", "NO", "ONE")

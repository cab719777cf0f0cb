"""A broker behind a sentinel: its master dies, a replica takes its place, and API and worker follow by themselves."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr
from redis import Redis
from redis.exceptions import RedisError
from support.doctor_env import healthy_harbour
from support.redis_server import HOST, RedisServer, redis_server
from support.services import free_port
from support.worker_process import worker_process
from support.worker_world import has_succeeded, sign_up, worker_world

from common.broker import Publisher, celery_app
from common.jobs import lane_messages

MASTER = "slipway-master"
SENTINEL_PASSWORD = "of-the-sentinel"
WITHIN_S = 60.0


@contextmanager
def sentinel(directory: Path, master: RedisServer) -> Iterator[str]:
    """Watch a master; yields the sentinel's address."""
    directory.mkdir()
    port, file = free_port(), directory / "sentinel.conf"
    watched = f"sentinel monitor {MASTER} {HOST} {master.port} 1\n"
    pace = f"sentinel down-after-milliseconds {MASTER} 500\nsentinel failover-timeout {MASTER} 3000\n"
    file.write_text(f"bind {HOST}\nport {port}\ndir {directory}\nrequirepass {SENTINEL_PASSWORD}\n{watched}{pace}")
    process = subprocess.Popen(["redis-server", str(file), "--sentinel"], stdout=subprocess.DEVNULL)
    try:
        with Redis(host=HOST, port=port, password=SENTINEL_PASSWORD) as client:
            _await(lambda: _knows_a_replica(client))
        yield f"sentinel://{HOST}:{port}/0"
    finally:
        process.kill()
        process.wait(10)


def _knows_a_replica(client: Redis) -> bool:
    try:
        return bool(client.sentinel_slaves(MASTER))
    except RedisError:
        return False


def _await(look) -> None:  # type: ignore[no-untyped-def] # a predicate
    deadline_s = time.monotonic() + WITHIN_S
    while not look():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def test_a_failover_is_followed_by_publisher_and_worker(
    migrated_sqlite: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with (
        healthy_harbour(tmp_path_factory.mktemp("harbour")) as harbour,
        redis_server(tmp_path / "master") as master,
        redis_server(tmp_path / "replica", "--replicaof", HOST, str(master.port)) as replica,
        sentinel(tmp_path / "sentinel", master) as url,
        worker_world(
            tmp_path / "db",
            migrated_sqlite,
            harbour,
            url,
            redis_sentinel_master=MASTER,
            redis_sentinel_password=SecretStr(SENTINEL_PASSWORD),
        ) as world,
        worker_process(world.settings, tmp_path / "worker") as worker,
    ):
        worker.await_true("it takes messages from the master", master.has_taker)
        before = sign_up(world)
        worker.await_true("a job ends", has_succeeded(world, before))

        master.kill()
        during = sign_up(world)
        worker.await_true("a job ends while there is no master", has_succeeded(world, during))

        worker.await_true("it takes messages from the new one", replica.has_taker)
        after = world.sign_up("hopper")
        lanes = lane_messages.of_new_job(after)
        assert Publisher(celery_app(world.settings)).send(lanes) == len(lanes)
        worker.await_true("a job ends", has_succeeded(world, after))

"""A broker behind a sentinel: its master dies, a replica takes its place, and API and worker follow by themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr
from support.doctor_env import healthy_harbour
from support.redis_server import HOST, redis_server
from support.sentinel import MASTER, SENTINEL_PASSWORD, sentinel
from support.worker_process import worker_process
from support.worker_world import has_succeeded, sign_up, worker_world

from common.broker import Publisher, celery_app
from common.jobs import lane_messages


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

"""What the API and Flower send follows a failover, behind sentinels, with and without TLS, from the same settings."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from pydantic import SecretStr
from support.api import Api, open_api, settings
from support.captured_telemetry import heard
from support.certificates import certify
from support.redis_server import HOST, RedisServer, redis_server
from support.sentinel import MASTER, SENTINEL_PASSWORD, sentinel, wait_until
from support.world import Time

from common.broker import QUEUES, celery_app
from common.config.settings import FlowerSettings
from common.workflows import SIGNUP
from worker import transport
from worker.flower import HeartbeatRequest


@pytest.fixture(params=["plain", "TLS"])
def certificates(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    if request.param == "plain":
        return None
    place = tmp_path / "certificates"
    place.mkdir()
    certify(place)
    return place


def messages(redis: RedisServer) -> int:
    return sum(int(redis.admin.llen(f"slipway:{name}")) for name in QUEUES)  # type: ignore[arg-type] # not awaited


def broker_is_up(api: Api) -> bool:
    shown = api.visitor.get("/metrics", headers={"Authorization": "Bearer canary-metrics-token"}).text
    return "slipway_broker_up 1.0" in shown


def test_the_api_and_flower_follow_a_failover(
    migrated_sqlite: Path, tmp_path: Path, time: Time, certificates: Path | None
) -> None:
    shutil.copy(migrated_sqlite, tmp_path / "slipway.db")
    db_url = f"sqlite:///{tmp_path / 'slipway.db'}"
    with (
        redis_server(tmp_path / "one", certificates=certificates) as master,
        redis_server(tmp_path / "two", "--replicaof", HOST, str(master.port), certificates=certificates) as replica,
        sentinel(tmp_path / "sentinel", master, certificates=certificates) as url,
    ):
        broker = {
            "redis_url": SecretStr(url),
            "redis_sentinel_master": MASTER,
            "redis_sentinel_password": SecretStr(SENTINEL_PASSWORD),
            "redis_ca_file": certificates / "ca.pem" if certificates else None,
        }
        transport.install()  # as in Flower's process
        flower = HeartbeatRequest(celery_app(settings(db_url, FlowerSettings, **broker), publishing_s=2.0))
        with open_api(db_url, time, **broker) as api, heard() as lines:
            assert api.sign_up("ada").status_code == 202
            wait_until(lambda: messages(master) == len(SIGNUP.lanes))
            wait_until(lambda: broker_is_up(api))
            flower.send()
            assert not [line for line in lines if line["event"] == "broker_unreachable"]

            master.kill()
            assert api.sign_up("grace").status_code == 202
            wait_until(lambda: replica.admin.role()[0] == b"master")
            before = messages(replica)

            wait_until(lambda: not api.service.publisher.is_resting)
            assert api.sign_up("hopper").status_code == 202
            wait_until(lambda: messages(replica) == before + len(SIGNUP.lanes))
            wait_until(lambda: broker_is_up(api))
            lines.clear()
            flower.send()
            assert not [line for line in lines if line["event"] == "broker_unreachable"]

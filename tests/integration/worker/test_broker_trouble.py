"""Every trouble with the broker: the worker lives, jobs end meanwhile, and messages are used again afterwards."""

from __future__ import annotations

import json
import shutil
import signal
import time as clock
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.doctor_env import healthy_harbour
from support.redis_server import RedisServer, redis_server
from support.worker_process import WorkerProcess, worker_process
from support.worker_world import has_succeeded, sign_up, worker_world
from support.world import World

from common.broker import QUEUES
from harbour.world import Harbour

Change = Callable[[RedisServer], object]
KEYS = 200
LOAD_KEY_US = 50_000  # 10 s for all of them


@dataclass(frozen=True)
class Trouble:
    """What happens to the broker, how it ends, and what the log says to do."""

    name: str
    begin: Change
    end: Change
    remedy: str


def _config(**values: str) -> Change:
    return lambda redis: [redis.admin.config_set(name.replace("_", "-"), value) for name, value in values.items()]


def _acl(*rules: str) -> Change:
    return lambda redis: redis.allow(*rules)


def _demote(redis: RedisServer) -> None:
    redis.admin.execute_command("REPLICAOF", "127.0.0.1", "1")


def _promote(redis: RedisServer) -> None:
    redis.admin.execute_command("REPLICAOF", "NO", "ONE")


def _lose_the_disk(redis: RedisServer) -> None:
    _config(save="3600 1", stop_writes_on_bgsave_error="yes")(redis)
    shutil.rmtree(redis.directory)
    redis.admin.bgsave()
    while redis.admin.info("persistence")["rdb_last_bgsave_status"] != "err":
        clock.sleep(0.02)


def _load_slowly(redis: RedisServer) -> None:
    redis.admin.mset({f"somebody:{number}": "x" * 100 for number in range(KEYS)})
    redis.admin.save()
    redis.kill()
    redis.begin("--key-load-delay", str(LOAD_KEY_US), "--loading-process-events-interval-bytes", "1024")


def _have_loaded(redis: RedisServer) -> None:
    redis.await_answer()
    redis.admin.flushall()
    redis.admin.save()


TROUBLES = [
    Trouble("demoted", _demote, _promote, "primary"),
    Trouble("full", _config(maxmemory="1"), _config(maxmemory="0"), "maxmemory"),
    Trouble("may not pop", _acl("-brpop"), _acl("+brpop"), "all commands"),
    Trouble("may only ping", _acl("-@all", "+ping"), _acl("+@all"), "all commands"),
    Trouble("a password that we lack", _acl("resetpass", ">another"), _acl("nopass"), "REDIS_PASSWORD"),
    Trouble("loading", _load_slowly, _have_loaded, "wait until it has started"),
    Trouble("dead", RedisServer.kill, RedisServer.start, "start Redis"),
    Trouble("hung", lambda r: r.signal(signal.SIGSTOP), lambda r: r.signal(signal.SIGCONT), "start Redis"),
    Trouble("disk full", _lose_the_disk, _config(stop_writes_on_bgsave_error="no", save=""), "make room"),
]


@pytest.fixture(scope="module")
def harbour(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harbour]:
    with healthy_harbour(tmp_path_factory.mktemp("harbour")) as harbour:
        yield harbour


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis") / "data") as redis:
        yield redis


@pytest.fixture(scope="module")
def world(
    migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory, harbour: Harbour, redis: RedisServer
) -> Iterator[World]:
    with worker_world(tmp_path_factory.mktemp("database"), migrated_sqlite, harbour, redis.url) as world:
        yield world


@pytest.fixture(scope="module")
def worker(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerProcess]:
    with worker_process(world.settings, tmp_path_factory.mktemp("worker")) as worker:
        yield worker


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.name)
def test_a_worker_outlives_its_broker_and_works_meanwhile(
    world: World, worker: WorkerProcess, redis: RedisServer, trouble: Trouble
) -> None:
    worker.await_true("it takes messages", redis.has_taker)
    known = len(worker.lines)

    trouble.begin(redis)
    during = [sign_up(world) for _ in range(3)]
    for job in during:
        worker.await_true("a job ends without the broker", has_succeeded(world, job))
    worker.await_true("it says what to do", lambda: any(trouble.remedy in str(line) for line in worker.lines[known:]))
    trouble.end(redis)

    worker.await_true("it takes messages again", redis.has_taker)
    worker.await_true("it says so", lambda: _is_back(worker))
    after = sign_up(world)
    worker.await_true("a job ends", has_succeeded(world, after))
    causes = [line["why"] for line in worker.lines[known:] if line["event"] == "broker_away"]
    assert len(causes) == len(set(causes)), "a line for each cause, and not for each try"
    assert all(row.attempts == 1 for job in [*during, after] for row in world.step_rows(job)), "nothing ran twice"


def _is_back(worker: WorkerProcess) -> bool:
    changes = worker.events("broker_away", "broker_back")
    return not changes or changes[-1]["event"] == "broker_back"


# -- garbage ------------------------------------------------------------------------------------------------------


def _message(**changes: Any) -> bytes:
    """Return a message as Celery sends it, with some parts changed or, where they are None, left out."""
    parts: dict[str, Any] = {
        "body": b64encode(json.dumps([["no-such-job"], {}, {}]).encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": _headers(),
        "properties": _properties(),
    }
    return json.dumps({name: value for name, value in (parts | changes).items() if value is not None}).encode()


def _headers(**changes: Any) -> dict[str, Any]:
    headers = {"task": "signup.create_gitlab_user", "id": "canary", "argsrepr": "canary", "kwargsrepr": "{}"}
    return {name: value for name, value in (headers | changes).items() if value is not None}


def _properties(**changes: Any) -> dict[str, Any]:
    delivery = {"exchange": "", "routing_key": "gitlab"}
    properties = {"delivery_info": delivery, "delivery_tag": "canary", "body_encoding": "base64", "priority": 0}
    return {name: value for name, value in (properties | changes).items() if value is not None}


GARBAGE = {
    "text": b"canary",
    "empty": b"",
    "no UTF-8": b"\xff\xfe\x00canary",
    "null": b"null",
    "a number": b"1",
    "a list": b'["canary"]',
    "an empty object": b"{}",
    "huge": b"canary" * 500_000,
    "huge, as JSON": json.dumps({"body": "canary" * 500_000}).encode(),
    "deep": b"[" * 100_000,
    "no properties": _message(properties=None),
    "properties of another type": _message(properties=["canary"]),
    "no tag": _message(properties=_properties(delivery_tag=None)),
    "a tag that is a list": _message(properties=_properties(delivery_tag=["canary"])),
    "no delivery": _message(properties=_properties(delivery_info=None)),
    "an unknown coding of the body": _message(properties=_properties(body_encoding="canary")),
    "a body in no base64": _message(body="canary!"),
    "a body that is a number": _message(body=7),
    "a body of another shape": _message(body=b64encode(b'"canary"').decode()),
    "no body": _message(body=None),
    "an unknown coding": _message(**{"content-encoding": "canary"}),
    "pickle": _message(**{"content-type": "application/x-python-serialize"}),
    "no headers": _message(headers=None),
    "headers of another type": _message(headers=["canary"]),
    "no task": _message(headers=_headers(task=None)),
    "no id": _message(headers=_headers(id=None)),
    "an unknown task": _message(headers=_headers(task="canary")),
    "a task that is a list": _message(headers=_headers(task=["canary"])),
    "a time that is none": _message(headers=_headers(eta="canary")),
    "an end that is none": _message(headers=_headers(expires="canary")),
    "a limit that is none": _message(headers=_headers(timelimit="canary")),
    "an unknown compression": _message(headers=_headers(compression="canary")),
    "another language": _message(headers=_headers(lang="canary")),
    "an id of another type": _message(body=b64encode(b'[[["canary"]], {}, {}]').decode()),
    "a huge id": _message(body=b64encode(json.dumps([["canary" * 20_000], {}, {}]).encode()).decode()),
    "too many arguments": _message(body=b64encode(b'[["canary", "canary"], {"canary": 1}, {}]').decode()),
    "a chain that is none": _message(body=b64encode(b'[["x"], {}, {"chain": ["canary"]}]').decode()),
}


def test_garbage_is_dropped_with_a_line_that_does_not_quote_it(
    world: World, worker: WorkerProcess, redis: RedisServer
) -> None:
    worker.await_true("it takes messages", redis.has_taker)
    known = len(worker.text)

    for number, garbage in enumerate(GARBAGE.values()):
        redis.admin.lpush(f"slipway:{QUEUES[number % len(QUEUES)]}", garbage)

    worker.await_true("all is taken", lambda: not any(redis.admin.llen(f"slipway:{name}") for name in QUEUES))
    job = sign_up(world)
    worker.await_true("a job ends", has_succeeded(world, job))
    said = worker.text[known:]
    assert "message_rejected" in said
    assert "broker_away" not in said
    assert "canary" not in said

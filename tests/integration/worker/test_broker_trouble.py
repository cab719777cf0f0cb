"""Every trouble with the broker: the worker lives, jobs end meanwhile, and messages are used again afterwards."""

from __future__ import annotations

import itertools
import shutil
import signal
import time as clock
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.doctor_env import healthy_harbour
from support.redis_server import RedisServer, redis_server
from support.worker_process import WorkerProcess, worker_process
from support.world import Time, World, settings_for

from common.database.engine import Database
from common.database.models import Job
from common.jobs import dispatch, lane_messages
from common.states import JobState
from harbour.world import Harbour

Change = Callable[[RedisServer], object]
NUMBERS = itertools.count()
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


class RealTime(Time):
    """The world's clock goes, because the worker is a process with a clock of its own."""

    def __init__(self, db: Database) -> None:
        super().__init__()
        self._db = db

    def __call__(self):  # type: ignore[no-untyped-def] # as its parent
        return self._db.now()


@pytest.fixture(scope="module")
def harbour(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harbour]:
    with healthy_harbour(tmp_path_factory.mktemp("harbour")) as harbour:
        yield harbour


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis") / "data") as redis:
        yield redis


@pytest.fixture(scope="module")
def world(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory, harbour: Harbour, redis: RedisServer):  # type: ignore[no-untyped-def] # a fixture of a few lines
    file = tmp_path_factory.mktemp("database") / "slipway.db"
    shutil.copy(migrated_sqlite, file)
    db = Database(f"sqlite:///{file}")
    settings = settings_for(harbour, f"sqlite:///{file}", redis_url=redis.url)
    yield World(db, RealTime(db), harbour, settings)
    db.dispose()


@pytest.fixture(scope="module")
def worker(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerProcess]:
    with worker_process(world.settings, tmp_path_factory.mktemp("worker")) as worker:
        yield worker


def _ends_well(world: World, job: Job) -> Callable[[], bool]:
    return lambda: world.job(job).state is JobState.SUCCEEDED


def _sign_up(world: World) -> Job:
    job = world.sign_up(f"ada{next(NUMBERS)}")
    dispatch.put_back(world.db, lane_messages.of_new_job(job))  # due at once: nobody has sent messages
    return job


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.name)
def test_a_worker_outlives_its_broker_and_works_meanwhile(
    world: World, worker: WorkerProcess, redis: RedisServer, trouble: Trouble
) -> None:
    worker.await_true("it takes messages", redis.has_taker)
    known = len(worker.lines)

    trouble.begin(redis)
    during = [_sign_up(world) for _ in range(3)]
    for job in during:
        worker.await_true("a job ends without the broker", _ends_well(world, job))
    worker.await_true("it says what to do", lambda: any(trouble.remedy in str(line) for line in worker.lines[known:]))
    trouble.end(redis)

    worker.await_true("it takes messages again", redis.has_taker)
    worker.await_true("it says so", lambda: _is_back(worker))
    after = _sign_up(world)
    worker.await_true("a job ends", _ends_well(world, after))
    causes = [line["why"] for line in worker.lines[known:] if line["event"] == "broker_away"]
    assert len(causes) == len(set(causes)), "a line for each cause, and not for each try"
    assert all(row.attempts == 1 for job in [*during, after] for row in world.step_rows(job)), "nothing ran twice"


def _is_back(worker: WorkerProcess) -> bool:
    changes = worker.events("broker_away", "broker_back")
    return not changes or changes[-1]["event"] == "broker_back"

"""Redis stays away for a day: the database alone finishes what is accepted, nothing piles up, and no flood follows."""

from __future__ import annotations

import threading
import time as real_time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydantic import SecretStr
from sqlalchemy import func, select
from support.api import Api, open_api
from support.captured_telemetry import heard
from support.redis_server import RedisServer, redis_server_at_rest
from support.workers import counted_statements
from support.world import Time, World

import common.broker
import worker.clock
from common.broker import QUEUES, REST_AFTER_FAILURE_S, Publisher, celery_app
from common.config.settings import WorkerSettings
from common.database.models import Attempt, Job
from common.jobs import lane_messages
from common.jobs.retention import RetentionSweeper
from common.states import OPEN
from worker.broker_link import BrokerLink
from worker.clock import Clock
from worker.direct_lanes import DirectLanes
from worker.lane import Lane
from worker.liveness import WorkerRegister
from worker.outage_probe import OutageProbe
from worker.runner import NextAction

HOURS = range(0, 24, 2)  # a person signs up in each
APP_EVERY = 6  # hours
LOOKS_EVERY_S = 1200.0  # of everything that is done now and then
ROUNDS = 60
THREADS = 2
WITHIN_S = 60.0
SLACK = 5  # threads, files: pools fill up now and then; what stays of each sign-up would be more
STATEMENTS = 2  # of a message that is refused: the beginning of a transaction, and a look that locks
BROKER_LINES = {"broker_away", "broker_back", "broker_unreachable", "broker_reachable", "backlog_read_failed"}


class Day:
    """An API and a worker on a clock that the test moves; the broker of both is `redis`, which is not there."""

    def __init__(self, world: World, api: Api, redis: RedisServer, directory: Path) -> None:
        self.world, self.api = world, api
        self.link = BrokerLink()
        self.link.lost(ConnectionRefusedError("connection refused"))  # as the worker's first try to connect finds out
        self.app = celery_app(settings_with(world, redis))
        self.publisher = Publisher(self.app)
        self.clock = Clock(
            world.db,
            self.publisher,
            WorkerRegister(directory),
            world.limits,
            self.link,
            clock_s=lambda: world.time().timestamp(),
        )
        self.direct = DirectLanes(world.db, self._run, threads=THREADS)
        self.clock.direct = self.direct
        self._periodic = (
            OutageProbe(world.db, world.clients.connections).run,
            RetentionSweeper(world.db, world.settings).sweep_some,  # type: ignore[arg-type] # as good
        )

    def _run(self, job_id: str, step: str, lane: Lane) -> bool:
        return self.world.runner.run(job_id, step, lane).action is NextAction.GO_ON

    def pass_two_hours(self, number: int, name: str) -> None:
        """Let a person sign up, and let time pass; now and then the worker tries to connect, and somebody looks."""
        assert self.api.sign_up(name).status_code == 202
        if number % APP_EVERY == 0:
            made = self.world.make_app(f"{name}-app")
            self.api.service.publisher.send(lane_messages.of_new_job(made))
        self.settle()
        for _ in range(int(2 * 3600 / LOOKS_EVERY_S)):
            self.link.lost(ConnectionRefusedError("connection refused"))
            self.api.visitor.get("/metrics", headers={"Authorization": "Bearer canary-metrics-token"})
            assert self.api.visitor.get("/readyz").status_code == 200
            for work in self._periodic:
                work()
            self.clock.tick()
            self.world.time.advance(LOOKS_EVERY_S)

    def settle(self) -> None:
        """Let the clock hand out what is due until all jobs are over."""
        for _ in range(ROUNDS):
            self.clock.tick()
            wait_until(lambda: self.direct.room == THREADS)
            if not self.count(select(func.count()).where(Job.state.in_(OPEN))):
                return
            self.world.harbour.gitlab.background.settle()
            self.world.time.advance(1.0)
        raise AssertionError("some job does not end without the broker")

    def count(self, statement) -> int:  # type: ignore[no-untyped-def] # of one number
        return int(self.world.db.read(lambda session: session.scalar(statement)) or 0)

    def held(self) -> tuple[int, int]:
        """Return how many threads and open files there are, once no message waits to be sent."""
        waiting = self.api.service.publisher._held  # type: ignore[attr-defined] # noqa: SLF001 - nobody else asks
        wait_until(waiting.empty)
        return threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))


def settings_with(world: World, redis: RedisServer) -> WorkerSettings:
    return world.settings.model_copy(update={"redis_url": SecretStr(redis.url)})


def wait_until(look: Callable[[], bool]) -> None:
    deadline_s = real_time.monotonic() + WITHIN_S
    while not look():
        assert real_time.monotonic() < deadline_s
        real_time.sleep(0.005)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server_at_rest(tmp_path / "redis") as server:
        yield server


@contextmanager
def on(time: Time, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let what rests for a while, or comes round, go by this clock."""
    measured = SimpleNamespace(monotonic=lambda: time().timestamp())
    for module in (common.broker, worker.clock):
        monkeypatch.setattr(module, "time", measured)
    yield


def test_a_day_without_redis_costs_nothing_and_leaves_nothing(
    world: World,
    db_url: str,
    time: Time,
    redis: RedisServer,
    new_name: Callable[[str], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with on(time, monkeypatch), open_api(db_url, time, redis_url=SecretStr(redis.url)) as api, heard() as lines:
        day = Day(world, api, redis, tmp_path / "register")
        for hour in HOURS[:2]:
            day.pass_two_hours(hour, new_name("early"))
        held = day.held()

        for hour in HOURS[2:]:
            day.pass_two_hours(hour, new_name("person"))

        # All has ended, each step at its first attempt, and nothing has grown.
        jobs = world.db.read(lambda session: session.scalars(select(Job)).all())
        states = Counter(str(job.state) for job in jobs)
        assert states == {"succeeded": len(HOURS) + 24 // APP_EVERY}
        assert all(after <= before + SLACK for before, after in zip(held, day.held(), strict=True)), (held, day.held())
        said = Counter(line["event"] for line in lines if line["event"] in BROKER_LINES)
        assert said == {"broker_away": 1, "broker_unreachable": 1, "backlog_read_failed": 1}, said

        # It is back: nothing of the day is sent, and what comes now is.
        redis.start()
        time.advance(REST_AFTER_FAILURE_S)
        day.link.regained()
        day.clock.tick()
        assert waiting_messages(redis) == 0
        assert day.publisher.backlog() == frozenset()
        assert api.sign_up(new_name("late")).status_code == 202
        late = world.db.read(lambda session: session.scalars(select(Job).order_by(Job.id.desc())).first())
        assert late is not None
        wait_until(lambda: waiting_messages(redis) == len(lane_messages.of_new_job(late)))

        # Had the API reached it all day, and no worker: a message for each lane, each of which changes nothing.
        lanes = [lane for job in jobs for lane in lane_messages.of_new_job(job)]
        assert day.publisher.send(lanes) == len(lanes)
        assert waiting_messages(redis) == len(lanes) + len(lane_messages.of_new_job(late))
        assert day.publisher.backlog() == {"gitlab", "jenkins", "elasticsearch"}
        calls, attempts = world.call_count(), day.count(select(func.count()).select_from(Attempt))
        for lane in lanes:
            for step in lane.steps:
                with counted_statements(world.db) as statements:
                    assert world.runner.run(lane.job_id, step).action is NextAction.NOT_OURS, "it has been done"
                assert len(statements) <= STATEMENTS, statements
        assert (world.call_count(), day.count(select(func.count()).select_from(Attempt))) == (calls, attempts)
        day.direct.join()


def waiting_messages(redis: RedisServer) -> int:
    return sum(int(redis.admin.llen(f"slipway:{name}")) for name in QUEUES)  # type: ignore[arg-type] # not awaited

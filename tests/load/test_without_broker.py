"""Hundreds of jobs without a broker for the whole run, and as many with one: all end, nothing is doubled, and how fast.

`SLIPWAY_BROKERLESS_JOBS=500 pytest -s tests/load/test_without_broker.py` prints the figures.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Select, func, select
from support.doctor_env import healthy_harbour
from support.redis_server import HOST, redis_server
from support.runs import runs
from support.services import free_port, mariadb_database
from support.stack import SIGN_UP_WRITES, kind_of_write
from support.worker_process import WorkerProcess, worker_process
from support.worker_world import world_on
from support.world import World

from common.broker import Publisher, celery_app
from common.database import migrate
from common.database.engine import Database
from common.database.models import Attempt, Job
from common.jobs import dispatch, lane_messages
from common.states import OPEN
from common.workflows import SIGNUP
from harbour.world import Harbour

JOBS = runs(50, "SLIPWAY_BROKERLESS_JOBS")
AT_ONCE = 50  # jobs; the two sides take turns, so that whatever else the machine does meanwhile slows both down
WITHIN_S = 600.0
_NUMBERS = itertools.count()


@dataclass
class Side:
    """A worker with a database of its own, and how long it has worked."""

    world: World
    worker: WorkerProcess
    has_broker: bool
    took_s: float = 0.0

    def take_turn(self, count: int) -> None:
        """Accept jobs, let them become due at once, and wait until all are over."""
        jobs = [self.world.sign_up(f"person{next(_NUMBERS)}") for _ in range(count)]
        lanes = [lane for job in jobs for lane in lane_messages.of_new_job(job)]
        began_s = time.monotonic()
        if self.has_broker:
            assert Publisher(celery_app(self.world.settings)).send(lanes) == len(lanes)
        else:
            dispatch.put_back(self.world.db, lanes)
        left = select(func.count()).where(Job.state.in_(OPEN))
        self.worker.await_true("all are over", lambda: not self._read(left), within_s=WITHIN_S)
        self.took_s += time.monotonic() - began_s

    def states(self) -> Counter[str]:
        return Counter(str(state) for state in self.world.db.read(lambda s: s.scalars(select(Job.state)).all()))

    def attempts(self) -> int:
        return self._read(select(func.count()).select_from(Attempt))

    def _read(self, number: Select[int]) -> int:
        patient = self.world.db.patient(WITHIN_S)  # a busy machine lets sessions stand still, which the server ends
        return patient.read(lambda session: session.execute(number).scalar_one())


@contextmanager
def _side(directory: Path, harbour: Harbour, redis_url: str, *, has_broker: bool) -> Iterator[Side]:
    with mariadb_database() as db_url:
        db = Database(db_url)
        migrate.upgrade(db)
        db.dispose()
        with world_on(db_url, harbour, redis_url) as world, worker_process(world.settings, directory) as worker:
            yield Side(world, worker, has_broker)


def test_hundreds_of_jobs_end_without_a_broker(tmp_path: Path) -> None:
    with ExitStack() as leave:
        harbour = leave.enter_context(healthy_harbour(tmp_path / "harbour"))
        redis = leave.enter_context(redis_server(tmp_path / "redis"))
        usual = leave.enter_context(_side(tmp_path / "with", harbour, redis.url, has_broker=True))
        absent = f"redis://{HOST}:{free_port()}/0"
        without = leave.enter_context(_side(tmp_path / "without", harbour, absent, has_broker=False))
        usual.worker.await_true("it takes messages", redis.has_taker)
        without.worker.await_true("it knows that there is no broker", lambda: without.worker.events("broker_away"))

        for _ in range(0, JOBS, AT_ONCE):
            for side in (usual, without):
                side.take_turn(min(AT_ONCE, JOBS))

        done = [call for call in harbour.writes() if call.status and call.status < 400]
        written = Counter(kind_of_write(f"{call.upstream} {call.method} {call.path}") for call in done)
        sides = {"with": usual, "without": without}
        again = {name: side.attempts() - JOBS * len(SIGNUP.steps) for name, side in sides.items()}
        rates = {name: round(JOBS / side.took_s, 2) for name, side in sides.items()}
        print(  # noqa: T201 - the figures are the point
            f"\n{JOBS} sign-ups on each side, one worker, MariaDB: jobs/s {rates}, "
            f"without a broker {usual.took_s / without.took_s:.0%} of with; attempts beyond one a step {again}"
        )
        assert usual.states() == without.states() == {"succeeded": JOBS}
        assert written == {kind: count * 2 * JOBS for kind, count in SIGN_UP_WRITES.items()}, "nothing is doubled"

"""Five hundred jobs without a broker for the whole run, and as many with one: all end once, and how fast."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from pathlib import Path

from sqlalchemy import func, select
from support.doctor_env import healthy_harbour
from support.redis_server import HOST, redis_server
from support.services import free_port
from support.worker_process import worker_process
from support.worker_world import worker_world
from support.world import World

from common.broker import Publisher, celery_app
from common.database.models import Attempt, Job
from common.jobs import dispatch, lane_messages
from common.states import OPEN
from common.workflows import SIGNUP

JOBS = 500
WITHIN_S = 1200.0
_NUMBERS = itertools.count()


def _run(world: World, directory: Path, *, is_sent: bool) -> float:
    """Return how long it takes until all jobs are over, with the worker already at work."""
    jobs = [world.sign_up(f"person{next(_NUMBERS)}") for _ in range(JOBS)]
    lanes = [lane for job in jobs for lane in lane_messages.of_new_job(job)]
    with worker_process(world.settings, directory) as worker:
        worker.await_true("it has begun", lambda: worker.events("broker_away") or is_sent)
        began_s = time.monotonic()
        if is_sent:
            assert Publisher(celery_app(world.settings)).send(lanes) == len(lanes)
        else:
            dispatch.put_back(world.db, lanes)
        left = select(func.count()).where(Job.state.in_(OPEN))
        worker.await_true("all are over", lambda: not world.db.read(lambda s: s.scalar(left)), within_s=WITHIN_S)
        return time.monotonic() - began_s


def test_five_hundred_jobs_end_without_a_broker(migrated_sqlite: Path, tmp_path: Path) -> None:
    took_s = {}
    with healthy_harbour(tmp_path / "harbour") as harbour, redis_server(tmp_path / "redis") as redis:
        absent = f"redis://{HOST}:{free_port()}/0"
        for name, url in (("with", redis.url), ("without", absent)):
            with worker_world(tmp_path / f"db-{name}", migrated_sqlite, harbour, url) as world:
                took_s[name] = _run(world, tmp_path / f"worker-{name}", is_sent=name == "with")
                states = Counter(str(state) for state in world.db.read(lambda s: s.scalars(select(Job.state)).all()))
                attempts = world.db.read(lambda s: s.scalar(select(func.count()).select_from(Attempt)))
                assert states == {"succeeded": JOBS}
                assert attempts == JOBS * len(SIGNUP.steps), "no step ran twice"

    rate = {name: JOBS / seconds for name, seconds in took_s.items()}
    print(f"\n{JOBS} sign-ups, one worker: {rate} jobs/s; without: {rate['without'] / rate['with']:.0%} of with")  # noqa: T201 - a figure that we report

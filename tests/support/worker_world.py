"""A world for a worker that is a process: a database file, a harbour and a clock that both of them see."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from pydantic import SecretStr

from common.database.engine import Database
from common.database.models import Job
from common.jobs import dispatch, lane_messages
from common.states import JobState
from harbour.world import Harbour
from support.world import Time, World, settings_for

_NUMBERS = itertools.count()


class RealTime(Time):
    """A clock that goes, because the worker has its own."""

    def __init__(self, db: Database) -> None:
        super().__init__()
        self._db = db

    def __call__(self) -> datetime:
        return self._db.now()


@contextmanager
def worker_world(
    directory: Path, migrated: Path, harbour: Harbour, redis_url: str, **settings: object
) -> Iterator[World]:
    """`migrated` is a database to copy."""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "slipway.db"
    shutil.copy(migrated, file)
    with world_on(f"sqlite:///{file}", harbour, redis_url, **settings) as world:
        yield world


@contextmanager
def world_on(db_url: str, harbour: Harbour, redis_url: str, **settings: object) -> Iterator[World]:
    """`db_url` is a database with all tables and no rows."""
    db = Database(db_url)
    changes = {"redis_url": SecretStr(redis_url), **settings}
    read = settings_for(harbour, db_url).model_copy(update=changes)
    yield World(db, RealTime(db), harbour, read)
    db.dispose()


def sign_up(world: World) -> Job:
    """Accept a sign-up whose lanes are due at once: nobody has sent messages for them."""
    job = world.sign_up(f"ada{next(_NUMBERS)}")
    dispatch.put_back(world.db, lane_messages.of_new_job(job))
    return job


def has_succeeded(world: World, *jobs: Job) -> Callable[[], bool]:
    return lambda: all(world.job(job).state is JobState.SUCCEEDED for job in jobs)

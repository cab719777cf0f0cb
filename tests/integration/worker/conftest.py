"""Jobs brought to any step of any workflow, for the tests that are generated from the table of workflows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

import pytest
from support.services import mariadb_database
from support.step_cases import Stages
from support.world import Time, World

from common.database import migrate
from common.database.engine import Database
from harbour.world import Harbour


@pytest.fixture(scope="module")
def open_stages(
    time: Time, open_harbour: Harbour, new_name: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Stages]]:
    """Return the stages on a kind of database, one database each for all tests of a file: they share jobs."""
    with ExitStack() as opened:

        @cache
        def on(kind: str) -> Stages:
            if kind == "sqlite":
                url = f"sqlite:///{tmp_path_factory.mktemp('steps') / 'slipway.db'}"
            else:
                url = opened.enter_context(mariadb_database())
            db = Database(url, now=time)
            opened.callback(db.dispose)
            migrate.upgrade(db)
            return Stages(World(db, time, open_harbour), new_name)

        yield on


@pytest.fixture
def kind() -> str:
    """The kind of database; a test names others as its parameter."""
    return "sqlite"


@pytest.fixture
def stages(open_stages: Callable[[str], Stages], kind: str, harbour: Harbour) -> Stages:  # noqa: ARG001 - it heals what a test broke
    return open_stages(kind)

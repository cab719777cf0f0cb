"""Stacks of real processes. `stack` is shared by the tests of its database: each heals what it broke."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.collector import Collector, collecting
from support.services import mariadb_database
from support.stack import Stack

_NUMBERS = itertools.count(1)


@contextmanager
def _running(root: Path, database: str, **options: Any) -> Iterator[Stack]:
    with ExitStack() as leave:
        db_url = leave.enter_context(mariadb_database()) if database == "mariadb" else None
        stack = Stack(root, db_url=db_url, **options)
        leave.callback(stack.stop)
        stack.start()
        yield stack


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    """What the shared stacks tell of their traces."""
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="session")
def stack_on(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[Callable[[str], Stack]]:
    """Return the shared stack of a database, started when it is first asked for."""
    running: dict[str, Stack] = {}
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "200"}
    with ExitStack() as leave:

        def on(database: str) -> Stack:
            if database not in running:
                root = tmp_path_factory.mktemp(database)
                options = {"with_flower": database == "sqlite", "settings": settings}
                running[database] = leave.enter_context(_running(root, database, **options))
            return running[database]

        yield on


@pytest.fixture
def stack(stack_on: Callable[[str], Stack], request: pytest.FixtureRequest) -> Iterator[Stack]:
    """A healthy stack on SQLite, or on the database that the test is parametrised with."""
    shared = stack_on(getattr(request, "param", "sqlite"))
    shared.await_workers()
    yield shared
    shared.harbour.clear_faults()


@pytest.fixture
def stack_of_two(tmp_path: Path) -> Iterator[Stack]:
    """A stack of the test's own with two workers."""
    with _running(tmp_path, "sqlite", workers=2) as stack:
        yield stack


@pytest.fixture
def quick_stack(tmp_path: Path) -> Iterator[Stack]:
    """A stack of the test's own whose forks are ready at once."""
    with _running(tmp_path, "sqlite", fork_s=0) as stack:
        yield stack


@pytest.fixture
def new_name() -> Callable[[str], str]:
    """Return names that no other test uses: the stack outlives the tests."""
    return lambda stem: f"{stem}{next(_NUMBERS)}"

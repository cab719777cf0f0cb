"""A production-like stack for each test: MariaDB, Redis, two API processes, four workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.services import mariadb_database
from support.stack import Stack

WORKERS = 4

StartStack = Callable[..., Stack]


@pytest.fixture
def start_stack(tmp_path: Path) -> Iterator[StartStack]:
    """Start stacks with these settings on top of the embedded ones; they stop with the test."""
    with ExitStack() as leave:

        def start(**settings: str) -> Stack:
            db_url = leave.enter_context(mariadb_database())
            stack = Stack(tmp_path, db_url=db_url, workers=WORKERS, fork_s=0.2, settings=settings)
            leave.callback(stack.stop)
            stack.start()
            return stack

        yield start

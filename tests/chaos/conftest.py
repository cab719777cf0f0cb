"""Installations of real processes that tests may break. `SLIPWAY_CHAOS=quick` chooses the short run, as CI does."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.chaos import database
from support.chaos.installation import Installation

IS_QUICK = os.environ.get("SLIPWAY_CHAOS") == "quick"

Install = Callable[..., Installation]


@pytest.fixture(scope="session")
def is_quick() -> bool:
    return IS_QUICK


@pytest.fixture(scope="session")
def server_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a database server that was never started."""
    place = tmp_path_factory.mktemp("template") / "data"
    database.prepare(place)
    return place


@pytest.fixture
def install(tmp_path: Path, server_template: Path) -> Iterator[Install]:
    """Start installations with these workers (name: concurrency); they end with the test."""
    numbers = itertools.count(1)
    with ExitStack() as leave:

        def start(workers: dict[str, int], **options: Any) -> Installation:
            root = tmp_path / f"installation{next(numbers)}"
            root.mkdir()
            made = Installation(root, server_template, workers=workers, **options)
            leave.callback(made.stop)
            made.start()
            return made

        yield start

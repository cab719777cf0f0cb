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


def _started(root: Path, template: Path, **options: Any) -> Installation:
    made = Installation(root, template, **options)
    try:
        made.start()
    except BaseException:
        made.stop()
        raise
    return made


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, server_template: Path) -> Iterator[Callable[[], Installation]]:
    """Return the installation that tests share; another one when the last test left it broken."""
    running: list[Installation] = []

    def well() -> Installation:
        if not running or not running[-1].is_well:
            if running:
                running[-1].stop()
            running.append(_started(tmp_path_factory.mktemp("shared"), server_template))
        return running[-1]

    yield well
    if running:
        running[-1].stop()


@pytest.fixture
def installation(shared: Callable[[], Installation]) -> Installation:
    """An installation that is well. The test breaks it, and says at its end that it `is_well` again."""
    made = shared()
    made.await_everything()
    made.is_well = False
    return made


@pytest.fixture
def install(tmp_path: Path, server_template: Path) -> Iterator[Install]:
    """Start installations of the test's own; they end with it."""
    numbers = itertools.count(1)
    with ExitStack() as leave:

        def start(**options: Any) -> Installation:
            root = tmp_path / f"installation{next(numbers)}"
            root.mkdir()
            made = _started(root, server_template, **options)
            leave.callback(made.stop)
            return made

        yield start

"""Installations of real processes that tests may break. `SLIPWAY_CHAOS=quick` chooses the short run, as CI does."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from support.chaos import database
from support.chaos.installation import Installation
from support.chaos.points import Rehearsal, rehearse
from support.chaos.scenarios import Scenarios

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


@dataclass
class Shared:
    """An installation with its scenarios. It is rehearsed once, by the first test that needs it."""

    installation: Installation
    scenarios: Scenarios

    @cached_property
    def rehearsal(self) -> Rehearsal:
        return rehearse(self.scenarios)


@pytest.fixture(scope="session")
def share(tmp_path_factory: pytest.TempPathFactory, server_template: Path) -> Iterator[Callable[[], Shared]]:
    """Return what tests share; a new one when the last test left its installation broken."""
    running: list[Shared] = []

    def well() -> Shared:
        if not running or not running[-1].installation.is_well:
            if running:
                running[-1].installation.stop()
            installation = _started(tmp_path_factory.mktemp("shared"), server_template)
            running.append(Shared(installation, Scenarios(installation)))
            running[-1].scenarios.prepare()
        return running[-1]

    yield well
    if running:
        running[-1].installation.stop()


@pytest.fixture
def shared(share: Callable[[], Shared]) -> Shared:
    return share()


@pytest.fixture
def scenarios(shared: Shared) -> Scenarios:
    return shared.scenarios


@pytest.fixture
def rehearsal(shared: Shared) -> Rehearsal:
    return shared.rehearsal


@pytest.fixture
def installation(shared: Shared) -> Installation:
    """An installation that is well. The test breaks it, and says at its end that it `is_well` again."""
    shared.installation.await_everything()
    shared.installation.is_well = False
    return shared.installation


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

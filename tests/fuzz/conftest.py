"""One server on MariaDB for the whole run, things in its database, and the score."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.api import open_api, serve
from support.endpoint_cases import Things
from support.fuzz_report import Score
from support.fuzz_values import WHO, Fitting
from support.objects import Objects
from support.world import Time

from common.database.engine import Database

SCORE = pytest.StashKey[Score]()


class Running(Time):
    """A clock that goes, as the server's does."""

    def __call__(self) -> datetime:
        return datetime.now(UTC)


@pytest.fixture(scope="session")
def server_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gunicorn") / "gunicorn.log"


@pytest.fixture(scope="session")
def base_url(migrated_mariadb: str, server_log: Path) -> Iterator[str]:
    with serve(migrated_mariadb, server_log) as (host, port):
        yield f"http://{host}:{port}"


@pytest.fixture(scope="session")
def fittings(migrated_mariadb: str) -> Iterator[dict[str, Fitting]]:
    db = Database(migrated_mariadb)
    with open_api(migrated_mariadb, Running()) as api:
        things = Things(Objects(api, db))
        yield {who: Fitting(api, things, who) for who in WHO}
    db.dispose()


@pytest.fixture(scope="session", params=WHO)
def fitting(request: pytest.FixtureRequest, fittings: dict[str, Fitting]) -> Fitting:
    """What this person finds."""
    return fittings[request.param]


@pytest.fixture(scope="session")
def score(pytestconfig: pytest.Config) -> Score:
    return pytestconfig.stash.setdefault(SCORE, Score())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    score = config.stash.get(SCORE, None)
    if score is not None:
        terminalreporter.section("requests that were made up")
        if config.get_verbosity() > 0:
            terminalreporter.write_line(score.table())
        terminalreporter.write_line(score.totals())

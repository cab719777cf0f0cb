"""An API with people for each test, and a harbour for the whole run.

Tests of the harbour tell their things apart by name, and heal what they broke. Its builds and syncs take their time on
the clock that the tests turn. That one never goes back: there is one for all.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest
from flask.testing import FlaskClient
from support.api import Api, open_api
from support.fake_worker import admin
from support.mariadb import Server, server
from support.world import Time, World

from common.database.engine import Database
from harbour.config import HarbourConfig
from harbour.world import Harbour

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A MariaDB of our own, which a test may kill, if it starts it again."""
    with server(tmp_path_factory.mktemp("mariadb")) as opened:
        yield opened


@pytest.fixture(scope="session")
def time() -> Time:
    return Time()


@pytest.fixture
def api(db_url: str, time: Time) -> Iterator[Api]:
    with open_api(db_url, time) as opened:
        yield opened


@pytest.fixture
def dev(api: Api) -> FlaskClient:
    """Somebody of the team dev who is logged in."""
    return api.member("grace")


@pytest.fixture
def ops(api: Api) -> FlaskClient:
    """Somebody of the team ops who is logged in."""
    return api.member("linus", team="ops")


@pytest.fixture
def chief(api: Api, db: Database) -> FlaskClient:
    """An administrator who is logged in."""
    return admin(api, db)


@pytest.fixture(scope="session")
def open_harbour(tmp_path_factory: pytest.TempPathFactory, time: Time) -> Iterator[Harbour]:
    harbour = Harbour(
        HarbourConfig(
            root=tmp_path_factory.mktemp("harbour"),
            gitlab_token="glpat-made-up",
            gitlab_user="cloner",
            gitlab_read_token="gldt-made-up",
            jenkins_user="automation",
            jenkins_token="11made-up",
            argocd_token="argo.made.up",
            elasticsearch_user="elastic",
            elasticsearch_password="elastic-made-up",
            fork_s=0.02,
        ),
        now=lambda: time().timestamp(),
    )
    harbour.start()
    yield harbour
    harbour.stop()


@pytest.fixture
def harbour(open_harbour: Harbour) -> Iterator[Harbour]:
    yield open_harbour
    open_harbour.clear_faults()
    open_harbour.gitlab.end_retention()  # what a test removed is no part of the next one's world


@pytest.fixture
def world(db: Database, time: Time, harbour: Harbour) -> World:
    return World(db, time, harbour)


@pytest.fixture(scope="session")
def new_name() -> Callable[[str], str]:
    """Return names that no other test uses: the harbour outlives the tests."""
    return lambda stem: f"{stem}-{next(_NUMBERS)}"

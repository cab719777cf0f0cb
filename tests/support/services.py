"""Which services do tests use, and what if one is missing?  Skipped at home, failed in CI."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import pymysql
import pytest
from pymysql.err import OperationalError
from sqlalchemy import make_url

# No TLS: the driver reads all of the host's certificates again for each connection, a fifth of the tests' time.
TEST_MYSQLD = os.environ.get("TEST_MYSQLD")  # a real `mysqld`, for tests that start a server of their own
MARIADB_SERVER = os.environ.get("TEST_MARIADB_URL", "mysql+pymysql://root@127.0.0.1:3306/?ssl_disabled=true")


def missing(service: str) -> NoReturn:
    """Skip the test at home, fail it in CI: a green run must not hide what did not run."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{service} is missing")
    pytest.skip(f"{service} is missing")


@contextmanager
def mariadb_database() -> Iterator[str]:
    """Make a database of a new name, yield its URL, drop it."""
    server = make_url(MARIADB_SERVER)
    name = f"slipway_test_{secrets.token_hex(6)}"
    try:
        connection = pymysql.connect(
            host=server.host or "127.0.0.1",
            port=server.port or 3306,
            user=server.username,
            password=server.password or "",
            connect_timeout=3,
            ssl_disabled="ssl_disabled" in server.query,
        )
    except OperationalError:
        missing("MariaDB")
    with connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
        try:
            yield server.set(database=name).render_as_string(hide_password=False)
        finally:
            cursor.execute(f"DROP DATABASE {name}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

"""The servers that `.ci/services` starts for the tests: what a command finds, and that nothing outlives it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pymysql
import pytest
from redis import Redis
from sqlalchemy import make_url
from support.images import ROOT
from support.services import missing

SERVICES = str(ROOT / ".ci" / "services")
WITHIN_S = 60.0
DIRECTORY = "d" * 100
COMMAND = 'echo "$TEST_MARIADB_URL $TEST_REDIS_URL"; '


@pytest.fixture(autouse=True)
def _installed() -> None:
    for program in ("mariadbd", "redis-server", "setpriv"):
        if shutil.which(program) is None:
            missing(program)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Without the addresses of servers that run already, and with a directory for temporary files of the test's own.

    Its path is longer than that of a socket may be.
    """
    ours = {name: value for name, value in os.environ.items() if name not in {"TEST_MARIADB_URL", "TEST_REDIS_URL"}}
    directory = tmp_path / DIRECTORY
    directory.mkdir()
    return {**ours, "TMPDIR": str(directory)}


def _start(command: str, environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        (SERVICES, "run", "--", "sh", "-c", COMMAND + command),
        env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def _addresses(running: subprocess.Popen[str]) -> tuple[str, str]:
    assert running.stdout is not None
    mariadb, redis = running.stdout.readline().split()
    return mariadb, redis


def _listens(url: str) -> bool:
    address = make_url(url)
    with socket.socket() as probe:
        return probe.connect_ex((address.host, address.port)) == 0


def _await_end(*urls: str) -> None:
    ends_at_s = time.monotonic() + WITHIN_S
    while any(_listens(url) for url in urls):
        assert time.monotonic() < ends_at_s


def test_a_command_finds_both_and_its_failure_is_the_result(environment: dict[str, str], tmp_path: Path) -> None:
    with _start("read line; exit 3", environment) as running:
        mariadb, redis = _addresses(running)
        server = make_url(mariadb)
        with pymysql.connect(host=server.host, port=server.port, user=server.username, ssl_disabled=True) as connection:
            cursor = connection.cursor()
            cursor.execute("SELECT @@tx_isolation, @@character_set_server, @@innodb_flush_log_at_trx_commit")
            settings = cursor.fetchone()
        with Redis.from_url(redis) as client:
            assert client.ping()
        running.communicate("\n", timeout=WITHIN_S)

    assert settings == ("REPEATABLE-READ", "utf8mb4", 0)
    assert running.returncode == 3
    assert not _listens(mariadb)
    assert not _listens(redis)
    assert list((tmp_path / DIRECTORY).iterdir()) == []


def test_servers_die_with_a_run_that_is_killed(environment: dict[str, str]) -> None:
    with _start("read line", environment) as running:
        addresses = _addresses(running)
        assert all(_listens(each) for each in addresses)

        running.send_signal(signal.SIGKILL)

        _await_end(*addresses)


def test_a_server_that_is_named_already_is_used(environment: dict[str, str]) -> None:
    named = {"TEST_MARIADB_URL": "mysql+pymysql://me@db.example/", "TEST_REDIS_URL": "redis://redis.example/0"}
    with _start("", environment | named) as running:
        assert _addresses(running) == tuple(named.values())

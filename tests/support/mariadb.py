"""A MariaDB of a test's own: to be stopped, killed and set as it likes. It starts in a fifth of a second.

`TEST_MYSQLD` names a real `mysqld` that takes its place; it starts in some seconds.
"""

from __future__ import annotations

import getpass
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pymysql

from support.services import TEST_MYSQLD, free_port, missing

HOST = "127.0.0.1"
WITHIN_S = 60.0 if TEST_MYSQLD else 20.0
PROGRAM = TEST_MYSQLD or "mariadbd"


class Server:
    """One server process over one directory."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        if TEST_MYSQLD is None:
            (root / "data").mkdir()
        else:  # it wants tables of its own even where nobody's rights are asked for
            made = ("--initialize-insecure", f"--datadir={root / 'data'}", f"--user={getpass.getuser()}")
            subprocess.run((TEST_MYSQLD, "--no-defaults", *made), check=True, capture_output=True)

    def url(self, name: str) -> str:
        """Make an empty database and return its address."""
        self.run(f"DROP DATABASE IF EXISTS {name}")
        self.run(f"CREATE DATABASE {name}")
        return f"mysql+pymysql://root@{HOST}:{self._port}/{name}?ssl_disabled=true"

    def start(self) -> None:
        options: dict[str, Any] = {
            "user": getpass.getuser(),
            "datadir": self._root / "data",
            "socket": self._root / "socket",
            "port": self._port,
            "bind-address": HOST,
            "innodb-buffer-pool-size": "64M",
            "innodb-flush-log-at-trx-commit": 2,  # survives the death of the server, if not of the machine
        } | ({"innodb-log-file-size": "16M"} if TEST_MYSQLD is None else {"mysqlx": "OFF"})
        # On MySQL it would close the port, and root has no password anyway.
        rights = ("--skip-grant-tables",) if TEST_MYSQLD is None else ()
        command = [PROGRAM, "--no-defaults", *rights, *(f"--{k}={v}" for k, v in options.items())]
        with (self._root / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        wait_until("the server answers", self._answers)

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(WITHIN_S)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server: SIGSTOP makes it hang, with its connections open."""
        assert self._process is not None
        self._process.send_signal(number)

    @property
    def login(self) -> dict[str, Any]:
        """The arguments with which a test connects by itself."""
        return {"host": HOST, "port": self._port, "user": "root", "ssl_disabled": True}

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        with pymysql.connect(host=HOST, port=self._port, user="root", autocommit=True, ssl_disabled=True) as connection:
            cursor = connection.cursor()
            cursor.execute(statement)
            return list(cursor.fetchall())

    def _answers(self) -> bool:
        try:
            return bool(self.run("SELECT 1"))
        except pymysql.err.OperationalError:
            return False


@contextmanager
def server(root: Path) -> Iterator[Server]:
    if shutil.which(PROGRAM) is None:
        missing(PROGRAM)
    made = Server(root)
    made.start()
    made.end()  # a directory of no age at all does not survive a kill
    made.start()
    try:
        yield made
    finally:
        made.end(signal.SIGKILL)


def wait_until(what: str, is_so: Callable[[], bool]) -> None:
    ends_at_s = time.monotonic() + WITHIN_S
    while not is_so():
        assert time.monotonic() < ends_at_s, f"not within {WITHIN_S:.0f} s: {what}"
        time.sleep(0.02)

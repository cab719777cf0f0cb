"""A MariaDB with real grants, so that read-only means it, and a second one that follows it, to fail over to.

`support/mariadb.py` has the quicker one for a single test: nobody needs a grant there.
"""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pymysql

from support.mariadb import HOST, WITHIN_S, wait_until
from support.services import free_port, missing

NAME, USER = "slipway", "slipway"
CONNECTIONS = 300
LOG_SIZE = "--innodb-log-file-size=16M"


def prepare(place: Path) -> None:
    """Make the directory of a server that was never started, to be copied."""
    if shutil.which("mariadbd") is None or shutil.which("mariadb-install-db") is None:
        missing("mariadbd")
    options = ("--no-defaults", f"--user={getpass.getuser()}", "--skip-test-db", "--force", LOG_SIZE)
    command = ("mariadb-install-db", *options, "--auth-root-authentication-method=normal", f"--datadir={place}")
    subprocess.run(command, check=True, capture_output=True)


class DatabaseServer:
    """One server process over one directory; Slipway's account on it has every right on one database, and no more."""

    def __init__(self, root: Path, number: int, *, prefix: Sequence[str] = ()) -> None:
        """`prefix` begins the command, such as `nsenter`: where its directory can be seen."""
        self._root, self._number, self._prefix = root, number, tuple(prefix)
        self.has_log = True  # which another server follows
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.environment: dict[str, str] = {}  # of the server's process, such as another clock

    def start(self) -> None:
        options: dict[str, Any] = {
            "user": getpass.getuser(),
            "datadir": self._root,
            "socket": self._root / "socket",
            "port": self.port,
            "bind-address": HOST,
            "server-id": self._number,
            **({"log-bin": "log"} if self.has_log else {}),
            "max-connections": CONNECTIONS,
            "innodb-buffer-pool-size": "64M",
            "innodb-flush-log-at-trx-commit": 2,  # survives the death of the server, if not of the machine
        }
        command = [*self._prefix, "mariadbd", "--no-defaults", *(f"--{k}={v}" for k, v in options.items())]
        command += ["--skip-name-resolve", LOG_SIZE]
        with (self._root.parent / f"{self._root.name}.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, **self.environment}
            )
        wait_until("the server answers", self._answers)

    def allow(self) -> None:
        """Make Slipway's database and account."""
        for statement in (
            f"CREATE DATABASE {NAME}",
            f"CREATE USER {USER}@'%'",
            f"GRANT ALL ON {NAME}.* TO {USER}@'%'",
            "CREATE USER follower@'%'",
            "GRANT REPLICATION SLAVE ON *.* TO follower@'%'",
        ):
            self.run(statement)

    def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)
            self._process.wait(WITHIN_S)

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def run(self, statement: str, *arguments: object, database: str | None = None) -> list[dict[str, Any]]:
        """Run one statement as root, past every relay."""
        with self.connect(database) as connection, connection.cursor() as cursor:
            cursor.execute(statement, arguments or None)
            return list(cursor.fetchall())

    def connect(self, database: str | None = None, *, user: str = "root") -> pymysql.Connection[Any]:
        return pymysql.connect(
            host=HOST,
            port=self.port,
            user=user,
            database=database,
            autocommit=True,
            ssl_disabled=True,
            connect_timeout=5,
            read_timeout=20,
            cursorclass=pymysql.cursors.DictCursor,
        )

    def follow(self, primary: DatabaseServer) -> None:
        """Copy what the other one does from now on."""
        self.run("SET GLOBAL read_only = 1")
        self.run(
            f"CHANGE MASTER TO MASTER_HOST='{HOST}', MASTER_PORT={primary.port}, MASTER_USER='follower', "
            "MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1"
        )
        self.run("START SLAVE")

    def promote(self, primary: DatabaseServer) -> None:
        """Take over from a server that writes no more: first catch up with it, so that no commit is lost."""
        position = primary.run("SELECT @@gtid_binlog_pos AS position")[0]["position"]
        reached = self.run("SELECT MASTER_GTID_WAIT(%s, 10) AS reached", position)[0]["reached"]
        assert reached == 0, "the second server does not follow the first one"
        self.run("STOP SLAVE")
        self.run("RESET SLAVE ALL")
        self.run("SET GLOBAL read_only = 0")

    def _answers(self) -> bool:
        with suppress(pymysql.err.OperationalError):
            return bool(self.run("SELECT 1 AS one"))
        assert self._process is not None
        assert self._process.poll() is None, "the server ended when it started"
        return False

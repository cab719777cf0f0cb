"""A Redis of a test's own: to be stopped, killed, demoted and filled as it likes. It starts in some milliseconds."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from support.services import free_port, missing

HOST = "127.0.0.1"
ADMIN, PASSWORD = "chief", "made-up"
STARTS_WITHIN_S = 30.0


class RedisServer:
    """One server in its own directory. `admin` is a user whom no change of the default user concerns."""

    def __init__(self, directory: Path, *options: str, certificates: Path | None = None) -> None:
        """`certificates` is a directory of `support.certificates.certify`: with it, all connections use TLS."""
        self.directory = directory
        self.port = free_port()
        self.url = f"{'rediss' if certificates else 'redis'}://{HOST}:{self.port}/0"
        self._options = (*ports(self.port, certificates), *options)
        self._process: subprocess.Popen[bytes] | None = None
        trust: dict[str, Any] = {"ssl": True, "ssl_ca_certs": str(certificates / "ca.pem")} if certificates else {}
        self.admin = Redis(host=HOST, port=self.port, username=ADMIN, password=PASSWORD, socket_timeout=10, **trust)

    def start(self) -> None:
        self.begin()
        self.await_answer()

    def begin(self, *options: str) -> None:
        """Start it without waiting for it."""
        self.directory.mkdir(parents=True, exist_ok=True)
        fixed = ("--bind", HOST, "--dir", str(self.directory), "--save", "")
        user = ("--user", ADMIN, "on", f">{PASSWORD}", "~*", "&*", "+@all")
        command = ["redis-server", *fixed, *user, "--enable-debug-command", "yes", *self._options, *options]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def await_answer(self) -> None:
        deadline_s = time.monotonic() + STARTS_WITHIN_S
        while not self.answers():
            assert time.monotonic() < deadline_s, "Redis does not start"
            time.sleep(0.02)

    def answers(self) -> bool:
        try:
            return bool(self.admin.ping())
        except RedisError:
            return False

    def signal(self, number: signal.Signals) -> None:
        assert self._process
        self._process.send_signal(number)

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait(10)

    def close(self) -> None:
        self.admin.close()
        self.kill()

    def allow(self, *rules: str) -> None:
        """Change what the user of our addresses may do, and close its connections."""
        self.admin.execute_command("ACL", "SETUSER", "default", *rules)
        for client in self.admin.client_list(_type="normal"):
            if client["user"] == "default":
                self.admin.client_kill_filter(_id=client["id"])

    def has_taker(self) -> bool:
        """Say whether a worker waits for messages here."""
        with contextlib.suppress(RedisError):
            return any(client["cmd"] == "brpop" and "b" in client["flags"] for client in self.admin.client_list())
        return False


def ports(port: int, certificates: Path | None) -> tuple[str, ...]:
    """Return the options of a server, or a sentinel, that listens there."""
    if certificates is None:
        return "--port", str(port)
    files = {"cert": "ca.pem", "key": "key.pem", "ca-cert": "ca.pem"}
    named = [part for name, file in files.items() for part in (f"--tls-{name}-file", str(certificates / file))]
    no_plain = ("--port", "0", "--tls-port", str(port), "--tls-auth-clients", "no", "--tls-replication", "yes")
    return *no_plain, *named


@contextmanager
def redis_server(directory: Path, *options: str, certificates: Path | None = None) -> Iterator[RedisServer]:
    with redis_server_at_rest(directory, *options, certificates=certificates) as server:
        server.start()
        yield server


@contextmanager
def redis_server_at_rest(directory: Path, *options: str, certificates: Path | None = None) -> Iterator[RedisServer]:
    """Yield one that has not been started: its address is known, and nobody answers there."""
    if shutil.which("redis-server") is None:
        missing("redis-server")
    server = RedisServer(directory, *options, certificates=certificates)
    try:
        yield server
    finally:
        server.close()

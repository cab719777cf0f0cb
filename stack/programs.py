"""The programs of a stack, their order, and when each is ready."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

import requests

from harbour.config import CREDENTIALS
from stack.embedded import ADMINISTRATOR, HOST, USERS, Embedded
from stack.launcher import Launcher, Program

PYTHON = sys.executable
CELERY = (PYTHON, "-m", "celery", "-A", "worker")
FLASK = (PYTHON, "-m", "flask", "--app", "api")
REFUSED = 3  # exit code of a command: here, the administrator is there from an earlier start

TOKENS = frozenset(CREDENTIALS) - frozenset(USERS)  # of the upstreams
OWN = frozenset({"DB_URL", "REDIS_URL", "SECRET_KEYS", "METRICS_TOKEN"})
SECRETS = TOKENS | OWN | {"FLOWER_BASIC_AUTH"}
NEEDED = {  # the secrets of each program; the broker has its password in a file
    "broker": frozenset[str](),
    "harbour": TOKENS,
    "api": OWN,
    "worker": TOKENS | OWN,
    "flower": frozenset({"REDIS_URL", "FLOWER_BASIC_AUTH"}),
}
WITHHELD = {program: SECRETS - needed for program, needed in NEEDED.items()}


def start(
    launcher: Launcher,
    stack: Embedded,
    *,
    workers: int = 1,
    with_flower: bool = True,
    harbour_options: Sequence[str] = (),
    queues: Sequence[str] = (),
    with_administrator: bool = False,
) -> None:
    """Start broker, harbour, schema, API, workers and Flower; make an administrator if wanted. Raises StackError.

    `harbour_options` are options of `python -m harbour`, such as its delays. `queues` has the option `-Q` of each
    worker; without it every worker takes from all queues.
    """
    launcher.start(broker(stack))
    launcher.start(harbour(stack, harbour_options))
    launcher.run_once("migrate", (*FLASK, "db", "upgrade"), withheld=WITHHELD["api"])
    launcher.start(api(stack))
    for number in range(1, workers + 1):
        launcher.start(worker(number, queues=queues[number - 1] if queues else None))
    if with_administrator:
        _ensure_administrator(launcher, stack)
    if with_flower:
        launcher.start(flower(stack))


def _ensure_administrator(launcher: Launcher, stack: Embedded) -> None:
    person = ("--email", f"{ADMINISTRATOR}@example.com", "--name", "Grace Hopper", "--team", "ops")
    command = (*FLASK, "users", "create-admin", ADMINISTRATOR, *person, "--password-stdin")
    launcher.run_once(
        "administrator",
        command,
        withheld=WITHHELD["api"],
        typed=f"{stack.admin_password}\n",  # not an argument, which every user of the machine can read
        accepted=(0, REFUSED),
    )


def broker(stack: Embedded) -> Program:
    return Program(
        name="broker",
        command=stack.broker,
        is_ready=_listens(stack.environment["REDIS_URL"]),
        withheld=WITHHELD["broker"],
    )


def worker(number: int, *, queues: str | None = None) -> Program:
    only = ("-Q", queues) if queues else ()
    command = (*CELERY, "worker", "-n", f"worker{number}@%h", *only)
    return Program(name=f"worker{number}", command=command, withheld=WITHHELD["worker"])


def harbour(stack: Embedded, options: Sequence[str]) -> Program:
    where = ("--root", str(stack.root / "harbour"), "--port-base", str(stack.harbour_port))
    return Program(
        name="harbour",
        command=(PYTHON, "-m", "harbour", *where, *options),
        is_ready=_answers(f"{stack.environment['HARBOUR_CONTROL_URL']}/healthz"),
        withheld=WITHHELD["harbour"],
    )


def api(stack: Embedded) -> Program:
    return Program(
        name="api",
        command=(PYTHON, "-m", "gunicorn", "api:create_app()", "--bind", urlsplit(stack.api_url).netloc),
        is_ready=_answers(f"{stack.api_url}/readyz"),
        withheld=WITHHELD["api"],
    )


def flower(stack: Embedded) -> Program:
    return Program(
        name="flower",
        command=(*CELERY, "flower"),
        is_ready=_answers(f"{stack.flower_url}/healthcheck"),
        withheld=WITHHELD["flower"],
    )


def _listens(url: str) -> Callable[[], bool]:
    port = urlsplit(url).port or 0

    def is_ready() -> bool:
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex((HOST, port)) == 0

    return is_ready


def _answers(url: str) -> Callable[[], bool]:
    def is_ready() -> bool:
        try:
            return requests.get(url, timeout=2).status_code == 200
        except requests.RequestException:
            return False

    return is_ready

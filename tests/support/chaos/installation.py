"""A whole installation of real processes: API, workers on hosts of their own, two databases, broker, upstreams.

API and workers reach database and broker over relays of their own, so that a network fault can meet either of them.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests
from redis import Redis
from redis.exceptions import RedisError

from stack import programs
from stack.embedded import prepare
from stack.launcher import Launcher, Program
from support.chaos.callers import Caller
from support.chaos.database import NAME, USER, DatabaseServer
from support.chaos.hosts import Host, SmallDisk
from support.chaos.relay import HOST, Relay
from support.checkout import ROOT
from support.stack import Harbour, unused_ports, wait_for

BIG, SMALL = "big", "small"  # the worker that has most of the work, and the one that takes over
WORKERS = {BIG: 28, SMALL: 8}
ADMIN, PASSWORD = "root-of-slipway", "engines weave numbers"
API, BROKER = "api", "broker"
HARBOUR_OPTIONS = ("--fork-s", "0.3", "--build-s", "1.5", "--queue-s", "0.1", "--sync-s", "0.3")
READY_S = 180.0  # on a machine that has much else to do; nothing is measured by it
AT_ONCE = {f"{name}_CONCURRENCY": "32" for name in ("GITLAB", "JENKINS", "ARGOCD", "ELASTICSEARCH")}
AT_ONCE["GITLAB_CALLS_PER_SECOND"] = "0"


@dataclass(frozen=True)
class Worker:
    name: str
    host: Host
    concurrency: int


class HeldHarbour(Harbour):
    """The upstreams, with calls that are held."""

    def held(self) -> Counter[str]:
        """Return how many calls are held now, by the label of the calls that a fault chooses."""
        held = Counter[str]()
        for fault in requests.get(f"{self._url}/faults", timeout=10).json()["faults"]:
            held[fault["user_agent"]] += fault["held"]
        return held

    def release(self, *, is_dropped: bool) -> None:
        """Remove every fault; calls that are held go on, or are reset without having done anything."""
        query = {"drop": "1"} if is_dropped else {}
        requests.delete(f"{self._url}/faults", params=query, timeout=10).raise_for_status()

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = requests.get(f"{self._url}/state", timeout=30).json()
        return state


class Installation:
    """One installation below `root`; `workers` run from `start` on, and start again when they die."""

    def __init__(
        self,
        root: Path,
        template: Path,
        *,
        workers: Mapping[str, int] = WORKERS,
        settings: Mapping[str, str] | None = None,
        disk: SmallDisk | None = None,
        database_environment: Mapping[str, str] | None = None,
        api_environment: Mapping[str, str] | None = None,
        worker_environments: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        """`template` is the directory of a server that was never started; `disk` is where the first one's shall be.

        On a small disk there is no log to follow. The environments are of single processes, such as another clock.
        """
        self.root = root
        shutil.copytree(template, disk.outside if disk else root / "first", dirs_exist_ok=True)
        shutil.copytree(template, root / "second")
        self.primary = DatabaseServer(disk.inside if disk else root / "first", 1, prefix=disk.prefix if disk else ())
        self.primary.environment |= database_environment or {}
        self.primary.has_log = disk is None
        self.secondary = DatabaseServer(root / "second", 2)
        self._worker_environments = worker_environments or {}
        self.embedded = prepare(root / "stack", ports=unused_ports(), db_url="sqlite://")
        direct = urlsplit(self.embedded.environment["REDIS_URL"])
        self.redis = Redis.from_url(self.embedded.environment["REDIS_URL"], socket_timeout=5)
        self.relays = {
            f"{of}-{to}": Relay(port or 0)
            for of in ("api", "worker")
            for to, port in (("database", self.primary.port), ("broker", direct.port))
        }
        self._own = {**self.embedded.environment, **AT_ONCE, "OUTAGE_AFTER": "5", **(settings or {})}
        password = direct.netloc.rpartition("@")[0]
        for of in ("api", "worker"):
            netloc = f"{password}@{HOST}:{self.relays[f'{of}-broker'].port}"
            setattr(self, f"_{of}", {
                **self._own,
                "DB_URL": f"mysql+pymysql://{USER}@{HOST}:{self.relays[f'{of}-database'].port}/{NAME}?ssl_disabled=true",
                "REDIS_URL": urlunsplit(direct._replace(netloc=netloc)),
            })  # fmt: skip
        self.harbour = HeldHarbour(self.embedded.environment["HARBOUR_CONTROL_URL"])
        self.workers = {
            name: Worker(name, Host(f"host-{name}", root / f"tmp-{name}"), concurrency)
            for name, concurrency in workers.items()
        }
        self.state_at_start: dict[str, Any] = {}
        self.is_well = True  # a test that is in the middle of breaking it says no
        self.log = (root / "log.txt").open("a", encoding="utf-8", buffering=1)
        self.launcher = Launcher(self._environment("worker"), self._write_log, steady_s=0)
        self.api_launcher = Launcher(
            {**self._environment("api"), **(api_environment or {})}, self._write_log, steady_s=0
        )

    # -- life -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        self.primary.start()
        self.primary.allow()
        self.secondary.start()
        if self.primary.has_log:
            self.secondary.follow(self.primary)
        self.start_broker()
        self.launcher.start(programs.harbour(self.embedded, HARBOUR_OPTIONS), ready_within_s=READY_S)
        flask = (programs.PYTHON, "-m", "flask", "--app", "api")
        self.state_at_start = self.harbour.state()
        self.api_launcher.run_once("migrate", (*flask, "db", "upgrade"))
        self.start_api()
        options = ("--email", "root@example.com", "--name", "Root", "--team", "dev", "--password-stdin")
        subprocess.run(
            (*flask, "users", "create-admin", ADMIN, *options),
            env=self._environment("api"), input=f"{PASSWORD}\n", text=True, check=True, capture_output=True, cwd=ROOT,
        )  # fmt: skip
        for name in self.workers:
            self.start_worker(name)
        self.await_workers()

    def stop(self) -> None:
        """End everything at once: nothing of it is of any more use."""
        for launcher, names in ((self.api_launcher, [API]), (self.launcher, [*self.workers, BROKER, "harbour"])):
            for name in names:
                with suppress(KeyError):  # it was never started
                    launcher.end(name, signal.SIGKILL)
            launcher.stop()
        self.primary.end()
        self.secondary.end()
        for relay in self.relays.values():
            relay.close()
        self.redis.close()
        self.log.close()

    def start_broker(self) -> None:
        self.launcher.start(programs.broker(self.embedded), ready_within_s=READY_S)

    def start_api(self) -> None:
        self.api_launcher.start(programs.api(self.embedded), ready_within_s=READY_S)

    def start_worker(self, name: str) -> None:
        worker = self.workers[name]
        command = worker.host.command(
            "env", f"WORKER_CONCURRENCY={worker.concurrency}", f"PYTHONPATH={ROOT / 'tests'}",
            *(f"{key}={value}" for key, value in self._worker_environments.get(name, {}).items()),
            programs.PYTHON, "-m", "support.chaos.labelled_worker", "-n", f"{name}@%h",
        )  # fmt: skip
        self.launcher.start(Program(name=name, command=command))

    def await_workers(self) -> None:
        for name in self.workers:
            wait_for(f"{name} works", lambda name=name: self.is_signed_on(name), within_s=READY_S)  # type: ignore[misc] # bound early

    def await_everything(self) -> None:
        """Return when every program does its work again, after whatever happened before."""
        for name in (BROKER, API, *self.workers):
            wait_for(f"{name} works", lambda name=name: self.is_at_work(name), within_s=READY_S)  # type: ignore[misc] # bound early

    def is_signed_on(self, name: str) -> bool:
        """Say whether the process that runs now takes part."""
        register = self.workers[name].host.temporary.glob("slipway-*/*/*")
        return any(f":{self.launcher.pid(name)}:" in file.name for file in register)

    def is_at_work(self, name: str) -> bool:
        """Say whether a program does its work: a worker has signed on, the API is ready, the broker answers."""
        if name in self.workers:
            return self.is_signed_on(name)
        try:
            if name == BROKER:
                return bool(self.redis.ping())
            return requests.get(f"{self.embedded.api_url}/readyz", timeout=2).ok
        except (requests.RequestException, RedisError):
            return False

    def caller(self) -> Caller:
        return Caller(self.embedded.api_url)

    # -- what is where ----------------------------------------------------------------------------------------

    def rows(self, statement: str, *arguments: object) -> list[dict[str, Any]]:
        """Read from whatever server is the first one now, past every relay."""
        return self.primary.run(statement, *arguments, database=NAME)

    def pid(self, name: str) -> int:
        return (self.api_launcher if name == API else self.launcher).pid(name)

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a program with all its processes."""
        os.killpg(self.pid(name), number)

    def children(self, name: str) -> list[int]:
        """Return the process ids of what a program has started."""
        pid = self.pid(name)
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def to_database(self) -> list[Relay]:
        return [relay for name, relay in self.relays.items() if name.endswith("database")]

    def to_broker(self) -> list[Relay]:
        return [relay for name, relay in self.relays.items() if name.endswith("broker")]

    def _environment(self, of: str) -> dict[str, str]:
        temporary = self.root / "tmp"
        temporary.mkdir(exist_ok=True)
        environment: dict[str, str] = getattr(self, f"_{of}")
        return {**os.environ, **environment, **self._compiled_once(), "TMPDIR": str(temporary), "LOG_FORMAT": "text"}

    def _compiled_once(self) -> dict[str, str]:
        """Let programs keep what they compile, where nobody keeps it: each start would cost seconds of a core."""
        if not os.environ.get("PYTHONDONTWRITEBYTECODE"):
            return {}
        return {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(self.root.parent / "compiled")}

    def _write_log(self, name: str, line: str) -> None:
        if not self.log.closed:
            self.log.write(f"{name:>8} | {line}\n")

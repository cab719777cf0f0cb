"""A complete Slipway of real processes: driven through HTTP as a front end does, broken as the world does.

Everything that is waited for is a condition with a deadline; nothing is waited for by the clock alone.
"""

from __future__ import annotations

import os
import random
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import requests
from redis import Redis

from common.broker import QUEUES
from slipway import Client
from stack import programs
from stack.demo import DemoResult, clone_url
from stack.developer import push_change
from stack.embedded import Embedded, Ports, prepare
from stack.inspector import Inspector
from stack.launcher import Launcher

T = TypeVar("T")

PASSWORD = "engines weave numbers"
BROKER, API, FLOWER = "broker", "api", "flower"
POLL_S = 0.05
FORK_S = 1.0  # long enough that a worker's first look finds GitLab still copying, over before the second
# Below the range from which the kernel takes ports for other people's connections, above what usually listens.
LOWEST_PORT, HIGHEST_PORT = 20_000, 31_000

WRITES = {
    "GitLab user": r"gitlab POST /api/v4/users",
    "member": r"gitlab POST /api/v4/groups/\d+/members",
    "Jenkins user": r"jenkins POST /securityRealm/createAccountByAdmin",
    "Jenkins marker": r"jenkins POST /securityRealm/user/[^/]+/submitDescription",
    "role": r"jenkins POST /role-strategy/strategy/assignUserRole",
    "Kibana user": r"elasticsearch PUT /_security/user/[^/]+",
    "fork": r"gitlab POST /api/v4/projects/[^/]+/fork",
    "protect": r"gitlab POST /api/v4/projects/\d+/protected_branches",
    "pipeline": r"jenkins POST /job/dev/createItem\?.*",
    "repository": r"argocd POST /api/v1/repositories\?.*",
    "application": r"argocd POST /api/v1/applications\?.*",
    "build": r"jenkins POST /job/dev/job/[^/]+/buildWithParameters\?.*",
    "sync": r"argocd POST /api/v1/applications/[^/]+/sync",
    "parameters": r"argocd (PATCH|PUT) /api/v1/applications/[^/]+(/spec)?(\?.*)?",
}
SIGN_UP_WRITES = Counter(["GitLab user", "member", "Jenkins user", "Jenkins marker", "role", "Kibana user"])
APP_WRITES = Counter(["fork", "fork", "protect", "pipeline", "repository", "application"])


def wait_for(what: str, look: Callable[[], T | None], *, within_s: float = 30.0) -> T:
    """Return the first true answer. Fails when there is none in time."""
    deadline = time.monotonic() + within_s
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {within_s:.0f} s: {what}"
        time.sleep(POLL_S)
    return found


def processes_of(root: Path) -> list[Path]:
    """Return the directories in /proc of all processes whose settings or command line name this directory."""
    return [directory for directory in Path("/proc").glob("[0-9]*") if _names(directory, os.fsencode(root))]


def _names(process: Path, name: bytes) -> bool:
    try:
        return any(name in (process / file).read_bytes() for file in ("environ", "cmdline"))
    except OSError:
        return False  # it has ended meanwhile


def unused_ports() -> Ports:
    """Return where to look for free ports: no other stack of this machine is likely to begin there."""
    return Ports.from_base(random.SystemRandom().randrange(LOWEST_PORT, HIGHEST_PORT, 10))


class Harbour:
    """The upstreams, through their control port."""

    def __init__(self, url: str) -> None:
        self._url = url

    def fault(self, upstream: str, **fault: Any) -> None:
        answer = requests.post(f"{self._url}/faults", json={"upstream": upstream, **fault}, timeout=10)
        assert answer.ok, answer.text

    def clear_faults(self) -> None:
        requests.delete(f"{self._url}/faults", timeout=10).raise_for_status()

    def push_image(self, image: str) -> None:
        """Let an image be in the registry that no build has pushed."""
        requests.post(f"{self._url}/images", json={"image": image}, timeout=10).raise_for_status()

    def is_struck(self) -> bool:
        """Say whether every fault that strikes a number of times has struck."""
        faults = requests.get(f"{self._url}/faults", timeout=10).json()["faults"]
        return all(fault["times"] == 0 for fault in faults if fault["times"] is not None)

    def last_call(self) -> int:
        return max((call["order"] for call in self.calls()), default=0)

    def calls(self, *, since: int = 0, writes: bool = False) -> list[dict[str, Any]]:
        query = {"since": str(since), "writes": str(int(writes))}
        calls: list[dict[str, Any]] = requests.get(f"{self._url}/calls", params=query, timeout=10).json()["calls"]
        return calls

    def writes(self, *, since: int = 0) -> Counter[str]:
        """Count the writes that took effect, by what they make.

        What is removed is GitLab's own protection of a branch: it may come before ours, or never. The credential
        template of a group comes with the first app of its team, whichever that is.
        """
        written = [call for call in self.calls(since=since, writes=True) if call["method"] != "DELETE"]
        is_of_group = re.compile(r"/api/v1/repocreds\b").match
        done = [c for c in written if c["status"] and c["status"] < 400 and not is_of_group(c["path"])]
        return Counter(kind_of_write(f"{call['upstream']} {call['method']} {call['path']}") for call in done)


def kind_of_write(call: str) -> str:
    """Return what a write makes; an unexpected one shows as itself."""
    return next((kind for kind, pattern in WRITES.items() if re.fullmatch(pattern, call)), call)


class Stack:
    """One running stack. `launcher` starts again what dies; `log_of` tells what a program said."""

    def __init__(
        self,
        root: Path,
        *,
        db_url: str | None = None,
        with_flower: bool = False,
        workers: int = 1,
        fork_s: float = FORK_S,
        settings: Mapping[str, str] | None = None,
        queues: Sequence[str] = (),
    ) -> None:
        self.embedded: Embedded = prepare(root, ports=unused_ports(), db_url=db_url)
        self.environment = {**self.embedded.environment, **(settings or {})}
        self.harbour = Harbour(self.environment["HARBOUR_CONTROL_URL"])
        self.workers = [f"worker{number}" for number in range(1, workers + 1)]
        self._with_flower = with_flower
        self._fork_s = fork_s
        self._queues = queues
        self._log: dict[str, list[str]] = {}
        self._log_lock = threading.Lock()
        self._temporary = root / "tmp"
        self._temporary.mkdir()
        self.launcher = Launcher({**self.environment, "TMPDIR": str(self._temporary)}, self._write_log, steady_s=0)

    # -- life -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        programs.start(
            self.launcher,
            self.embedded,
            workers=len(self.workers),
            with_flower=self._with_flower,
            harbour_options=("--fork-s", str(self._fork_s)),
            queues=self._queues,
        )
        self.await_workers()

    def stop(self) -> None:
        self.launcher.stop()
        self.redis.close()

    def await_workers(self) -> None:
        for name in self.workers:
            self.await_worker(name)

    def await_worker(self, name: str) -> None:
        wait_for(f"{name} works", lambda: self._is_working(name))

    def _is_working(self, name: str) -> bool:
        """Say whether the worker that runs now has signed on."""
        return any(f":{self.launcher.pid(name)}:" in file.name for file in self.signed_on())

    def signed_on(self) -> list[Path]:
        return [file for file in self._temporary.glob("slipway-*/*/*") if not file.name.startswith(".")]

    def _write_log(self, name: str, line: str) -> None:
        with self._log_lock:
            self._log.setdefault(name, []).append(line)

    def log_of(self, name: str) -> list[str]:
        with self._log_lock:
            return list(self._log.get(name, ()))

    @property
    def logs(self) -> dict[str, list[str]]:
        with self._log_lock:
            return {name: list(lines) for name, lines in self._log.items()}

    # -- harm -------------------------------------------------------------------------------------------------

    def kill(self, name: str) -> None:
        """Kill -9 a program with all its processes; the launcher starts it again."""
        try:
            os.killpg(self.launcher.pid(name), signal.SIGKILL)
        except ProcessLookupError:
            return  # it is dead already, and about to be started again

    def signal(self, name: str, number: signal.Signals) -> None:
        os.killpg(self.launcher.pid(name), number)

    @cached_property
    def redis(self) -> Redis:
        return Redis.from_url(self.environment["REDIS_URL"])

    @property
    def flower_login(self) -> tuple[str, str]:
        user, _, password = self.embedded.flower_login.partition(":")
        return user, password

    def has(self, program: str) -> bool:
        return program != FLOWER or self._with_flower

    def is_up(self) -> bool:
        """Say whether the API answers that it can work."""
        try:
            return requests.get(f"{self.embedded.api_url}/readyz", timeout=2).ok
        except requests.RequestException:
            return False

    def start_broker(self) -> None:
        self.launcher.start(programs.broker(self.embedded))

    def waiting_messages(self) -> int:
        return sum(int(self.redis.llen(f"slipway:{name}")) for name in QUEUES)

    # -- people -----------------------------------------------------------------------------------------------

    def anyone(self) -> Person:
        return Person(self.embedded.api_url)

    def person(self, login: str, *, password: str = PASSWORD) -> Person:
        """Sign a person up, wait for the accounts, and log in."""
        person = self.anyone()
        person.follow(person.sign_up(login, password=password))
        person.log_in(login, password=password)
        return person

    def push_image(self, app: str, tag: str) -> None:
        """Let an image of an app be in the registry that no build has pushed."""
        self.harbour.push_image(f"{self.environment['CONTAINER_REPOSITORY_IMAGE_NAME']}/{app}:{tag}")

    def findings(self, person: Person, app: dict[str, Any], login: str) -> list[str]:
        """Build and deploy the app, then look at what the upstreams hold."""
        commit = push_change(clone_url(app), login=login, password=PASSWORD)
        build_job_id = person.start_build(app["app_id"])
        build = person.follow(build_job_id)["result"]
        deploy_job_id = person.start_deploy(app["app_id"], image_tag=build["image"].rpartition(":")[2])
        made = DemoResult(
            login=login,
            password=PASSWORD,
            team="dev",
            app=app,
            commit=commit,
            build_job_id=build_job_id,
            build=build,
            deployment=person.follow(deploy_job_id)["result"],
        )
        return Inspector(self.environment, made).findings()


class Person:
    """Somebody with our own client. What starts a job returns its id."""

    def __init__(self, api_url: str) -> None:
        self._url = f"{api_url}/api/v1"
        self._slipway = Client(api_url)
        self._token = ""

    def call(self, method: str, path: str, *, json: Any = None) -> requests.Response:
        """Return an answer as it is on the wire."""
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        return requests.request(method, self._url + path, headers=headers, json=json, timeout=15)

    def sign_up(self, login: str, *, password: str = PASSWORD) -> str:
        email, name = f"{login}@example.com", f"Person {login}"
        accepted = self._slipway.sign_up(login, email=email, name=name, password=password, team="dev")
        return str(accepted["job_id"])

    def log_in(self, login: str, *, password: str = PASSWORD) -> None:
        self._token = self._slipway.log_in(login, password)["token"]

    def make_project(self, name: str) -> str:
        """Return the project's id."""
        return str(self._slipway.create_project(name)["project_id"])

    def make_app(self, project_id: str, name: str) -> str:
        return str(self._slipway.create_app(project_id, name, type="Spring")["job_id"])

    def start_build(self, app_id: str) -> str:
        return str(self._slipway.start_build(app_id)["job_id"])

    def start_deploy(self, app_id: str, *, image_tag: str, force: bool = False) -> str:
        return str(self._slipway.start_deploy(app_id, image_tag=image_tag, force=force)["job_id"])

    def job(self, job_id: str) -> dict[str, Any]:
        return self._slipway.get_job(job_id)

    def app(self, job_id: str) -> dict[str, Any]:
        return self._slipway.get_app(self.job(job_id)["app_id"])

    def step(self, job_id: str, name: str) -> dict[str, Any]:
        return next(step for lane in self.job(job_id)["lanes"] for step in lane["steps"] if step["name"] == name)

    def follow(self, job_id: str, *, within_s: float = 40.0) -> dict[str, Any]:
        """Return the job once it is over; it must have succeeded."""
        return self._slipway.await_job(job_id, within_s=within_s)

"""The site of a simulation: one database, the stand-ins, and everything that is real of a worker, in virtual time.

What is replaced: time, threads, sockets, processes of git, messages. All the rest is the product's.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import pickle
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import tenacity
from support.world import World, settings_for

import harbour.argocd.checks
import harbour.argocd.git
import harbour.jenkins.schedule
import worker.clock
from common.database import ids, migrate
from common.database.engine import Database
from harbour import repository
from harbour.config import HarbourConfig
from harbour.world import Harbour
from simulation import repositories
from simulation.clock import VirtualBackground
from simulation.database import Kept, Rows, open_database
from simulation.network import Network
from simulation.repositories import Git
from simulation.scheduler import Process, Simulation
from worker import upstreams
from worker.upstreams import http, transport

OURS_ALONE = frozenset(
    {
        "lock",
        "calls",
        "faults",
        "now",
        "background",
        "registry",
        "url",
        "_routes",
        "_server",
        "_thread",
        "_store",
        "request",
    }
)
OUTAGE_AFTER = 3
REFS = "packed-refs"
MEMORY = Path("/dev/shm")  # noqa: S108 - a directory of our own in it


@dataclass(frozen=True)
class Moment:
    """Everything as it was at one moment: rows, stand-ins, repositories, time."""

    rows: Kept
    harbour: bytes
    repositories: dict[str, Path]
    seconds: float


class Site:
    """Opened once; each run begins at a `Moment` of it."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._kept = itertools.count(1)
        self.simulation = Simulation()
        self.time = self.simulation.time
        self.harbour = _harbour(root, self.simulation)
        self.network = Network(self.simulation, self.harbour)
        self.git = Git(self.harbour.gitlab)
        path = root / "slipway.db"
        outside = Database(f"sqlite:///{path}")
        migrate.upgrade(outside)
        outside.dispose()
        self.rows = Rows(path)
        self._path = path
        self._database_of_nobody = Database(f"sqlite:///{path}", now=self.time)

    def start(self) -> None:
        """Bring the stand-ins and the database to their beginning; call it `inside`."""
        for service in self.harbour.services:
            service.prepare()
        db = self._database_of_nobody
        settings = settings_for(self.harbour, str(db.engine.url)).model_copy(update={"outage_after": OUTAGE_AFTER})
        self.world = World(db, self.time, self.harbour, settings)  # type: ignore[arg-type] # virtual time is as good

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Let the product live in virtual time, on the network of the simulation."""
        clock, numbers = self.time.module(), itertools.count(1)
        counted = SimpleNamespace(randbits=lambda _bits: next(numbers))
        at = SimpleNamespace(time_ns=lambda: round(self.time.outside() * 1e9))
        with ExitStack() as stack:
            for target, name, value in (
                (http, "uptime_s", self.time.monotonic),
                (worker.clock, "time", clock),
                (tenacity, "time", clock),
                (tenacity.nap, "time", SimpleNamespace(sleep=self.simulation.pause)),
                (tenacity.wait, "random", SimpleNamespace(uniform=lambda low, high: (low + high) / 2)),
                (transport, "threading", SimpleNamespace(Timer=_NoTimer, Lock=contextlib.nullcontext)),
                (ids, "secrets", counted),  # ids grow: what is ordered by them has one order
                (ids, "time", at),
                (repository, "refs", repositories.refs),
                (repository, "copy", repositories.copy_repository),
                (harbour.argocd.git, "_listed", self.git.listed),
                (harbour.argocd.checks, "find_chart", self.git.find_chart),
                (harbour.jenkins.schedule, "carried_out", self.git.carried_out),
            ):
                stack.enter_context(patch.object(target, name, value))
            stack.enter_context(self.network.connected())
            logging.disable(logging.CRITICAL)
            stack.callback(logging.disable, logging.NOTSET)
            yield

    def open_process(self, name: str) -> tuple[Process, Database, Database]:
        """Open a process: its sessions for work, and the one that renews leases."""
        process = Process(name)
        db = open_database(self._path, process, self.simulation)
        return process, db, open_database(self._path, process, self.simulation, tries=1)

    def clients(self) -> upstreams.Upstreams:
        return upstreams.connect(self.world.settings)

    # -- moments ----------------------------------------------------------------------------------------------

    def keep(self) -> Moment:
        """Keep everything as it is now."""
        place = self._root / "kept" / str(next(self._kept))
        kept = {}
        for each in self.harbour.gitlab.repositories():
            kept[each.name] = place / each.name
            repositories.copy_repository(each, kept[each.name])
        return Moment(self.rows.keep(), self._harbour_state(), kept, self.time.seconds)

    def go_back(self, moment: Moment) -> None:
        """Let everything be as it was."""
        self.time.reset(moment.seconds)
        self.rows.put_back(moment.rows)
        self.harbour.gitlab.background.forget()  # type: ignore[attr-defined] # it is the virtual one
        states, images = pickle.loads(moment.harbour)  # noqa: S301 - our own, of this process
        for service, state in zip(self.harbour.services, states, strict=True):
            for name in vars(service).keys() - state.keys() - OURS_ALONE:
                delattr(service, name)
            service.__dict__.update(state)
            service.calls.clear()
        self.network.forget()
        self.harbour.registry._images = images  # noqa: SLF001 - it has no door for it
        self._put_back(moment.repositories)
        self.harbour.gitlab._resume()  # noqa: SLF001 - as after a restart: imports go on

    def _put_back(self, kept: dict[str, Path]) -> None:
        """Let the repositories be as they were: what is a link to the same files need not be copied."""
        for each in self.harbour.gitlab.repositories():
            if each.name not in kept or not (each / REFS).samefile(kept[each.name] / REFS):
                shutil.rmtree(each)
        for name, source in kept.items():
            target = self._root / "harbour" / "repositories" / name
            if not target.exists():
                repositories.copy_repository(source, target)

    def _harbour_state(self) -> bytes:
        states = [
            {name: value for name, value in vars(service).items() if name not in OURS_ALONE}
            for service in self.harbour.services
        ]
        return pickle.dumps((states, dict(self.harbour.registry._images)))  # noqa: SLF001 - as above


class _NoTimer:
    """A timer that never rings: virtual time ends calls."""

    daemon = True

    def __init__(self, *_: Any) -> None: ...

    def start(self) -> None: ...

    def cancel(self) -> None: ...


def _harbour(root: Path, simulation: Simulation) -> Harbour:
    config = HarbourConfig(
        root=root / "harbour",
        gitlab_token="glpat-made-up",
        gitlab_user="cloner",
        gitlab_read_token="gldt-made-up",
        jenkins_user="automation",
        jenkins_token="11made-up",
        argocd_token="argo.made.up",
        elasticsearch_user="elastic",
        elasticsearch_password="elastic-made-up",
        fork_s=3.0,
        queue_s=2.0,
        build_s=8.0,
        sync_s=3.0,
    )
    made = Harbour(config, now=simulation.time.outside)
    made.gitlab.background = VirtualBackground(simulation.time)
    return made


@contextlib.contextmanager
def opened() -> Iterator[Site]:
    """Open a site below a directory in memory; it is gone afterwards."""
    root = Path(tempfile.mkdtemp(prefix="slipway-simulation-", dir=MEMORY if MEMORY.is_dir() else None))
    try:
        site = Site(root)
        with site.inside():
            site.start()
            yield site
    finally:
        shutil.rmtree(root, ignore_errors=True)

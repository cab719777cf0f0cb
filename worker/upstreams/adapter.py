"""The contract of an upstream: everything that the worker has to know of one, in one value.

Each upstream is a package below `worker/upstreams/` whose `adapter.py` holds an `Adapter`; `ADAPTERS` in
`worker/upstreams/__init__.py` lists them. Connections, clients, the doctor, the outage probe and removals loop over
that list, so nothing else has to name an upstream. `docs/how-to/add-an-upstream.md` adds one step by step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from common.config.catalog import Catalog, CatalogTeam
from common.config.settings import WorkerSettings
from common.errors import Refused
from common.workflows import Upstream
from worker.upstreams.check import Check
from worker.upstreams.http import Http, Limits
from worker.upstreams.probe import Probe
from worker.upstreams.standing import Standing, presume

C = TypeVar("C")
DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, kw_only=True)
class Login:
    """How every call shows who we are: headers, or a name and a password (HTTP basic authentication)."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    auth: tuple[str, str] | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class CheckContext:
    """What an upstream's checks are made from.

    `probe` only reads. `clone_base` returns the address under which GitLab offers its repositories, "" when GitLab
    does not say: others clone from there. `namespaces` returns those in which a team's apps run, by the team's id.
    """

    probe: Probe
    settings: WorkerSettings
    catalog: Catalog
    clone_base: Callable[[], str]
    namespaces: Callable[[str], list[str]]


@dataclass(frozen=True, kw_only=True)
class Target:
    """A resource of the ledger that is to be removed. `marker` is what an object of ours carries.

    `is_marked` is False for what was made before objects of its kind were marked.
    `ref` is the name under which the step that made it recorded it, `outside_id` the upstream's own, None when the
    creation was never confirmed. `team` returns the app's team; raises Permanent when it has left the catalog.
    `is_purge`: an administrator wants it removed for good, whatever the upstream would keep.
    """

    ref: str
    outside_id: str | None
    marker: str
    team: Callable[[], CatalogTeam]
    is_purge: bool = False
    is_marked: bool = True


@dataclass(frozen=True, kw_only=True)
class Remains:
    """What an upstream keeps of a removed resource, under its new name. `until`: a date, None when it is kept for good.

    It is in nobody's way: the old name is free. `reason` says who can do what about it.
    """

    name: str
    url: str
    until: str | None
    reason: str


@dataclass(frozen=True, kw_only=True)
class Adapter(Generic[C]):
    """One upstream. Its label and the names of its settings are in `common.workflows.Upstream`.

    login     from the settings, how to log in
    client    makes the client of its steps; makes no call
    checks    the doctor's checks, in their order; makes no call
    standing  who we are there and whether we may, asked by reading only (`worker/upstreams/standing.py`), after the
              given refusal; None: whether a hold can end. Raises Transient when there is no usable answer
    probe     the path of a cheap read that needs no right: any answer below 500 means that the upstream is up
    limits    of each call: time and size
    removals  by kind of resource in the ledger: remove it, and return True once nothing of ours is left, or what the
              upstream keeps. Safe to repeat; raises Conflict for an object that is not ours, NotYet while the removal
              is under way
    """

    upstream: Upstream
    login: Callable[[WorkerSettings], Login]
    client: Callable[[Http], C]
    checks: Callable[[CheckContext], tuple[Check, ...]]
    probe: tuple[str, ...]
    standing: Callable[[Http, Refused | None], Standing] = presume
    limits: Limits = DEFAULT_LIMITS
    removals: Mapping[str, Callable[[C, Target], bool | Remains]] = field(default_factory=dict)

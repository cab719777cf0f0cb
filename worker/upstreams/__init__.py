"""The upstreams that steps call: the registry of their adapters, and their clients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from common.config.settings import WorkerSettings
from common.config.upstreams import route_to, settings_of
from common.errors import Refused
from common.vault.cipher import Vault
from common.workflows import Upstream
from worker.upstreams import argocd, elasticsearch, gitlab, jenkins
from worker.upstreams.adapter import Adapter, Remains, Target
from worker.upstreams.argocd.client import ArgoCD
from worker.upstreams.elasticsearch.client import Elasticsearch
from worker.upstreams.gitlab.client import GitLab
from worker.upstreams.http import BeforeWrite, Deadline, Http, RateLimit
from worker.upstreams.jenkins.client import Jenkins
from worker.upstreams.standing import Standing

ADAPTERS: Mapping[Upstream, Adapter[Any]] = {
    adapter.upstream: adapter for adapter in (gitlab.ADAPTER, jenkins.ADAPTER, elasticsearch.ADAPTER, argocd.ADAPTER)
}

Connections = Mapping[Upstream, Http]
NO_RATE_LIMITS: Mapping[Upstream, RateLimit] = {}


@dataclass(frozen=True, kw_only=True)
class Upstreams:
    """One client for each upstream, named as its `Upstream`, made from `connections`, which all threads share."""

    gitlab: GitLab
    jenkins: Jenkins
    argocd: ArgoCD
    elasticsearch: Elasticsearch
    connections: Connections = field(repr=False)

    def within(self, deadline: Deadline, before_write: BeforeWrite | None = None) -> Upstreams:
        """Return the same clients with every call bounded by `deadline`, and `before_write` run before each write."""
        return clients({name: http.within(deadline, before_write) for name, http in self.connections.items()})

    def reading(self) -> Upstreams:
        """Return the same clients, unable to write: a call that would write raises WouldWrite, and is not sent."""
        return clients({name: http.reading() for name, http in self.connections.items()})

    def standing(self, upstream: Upstream, refused: Refused | None) -> Standing:
        """Return our standing there after a refusal, or to end a hold. Reads only; raises Transient as the adapter."""
        return ADAPTERS[upstream].standing(self.connections[upstream].reading(), refused)

    def remove(self, upstream: Upstream, kind: str, target: Target) -> bool | Remains:
        """Remove a resource of this kind: True once nothing of ours is left, or what is kept. Raises as the adapter."""
        return ADAPTERS[upstream].removals[kind](getattr(self, upstream.value), target)


def connect(settings: WorkerSettings) -> Upstreams:
    """Make the clients. Makes no call."""
    return clients(open_connections(settings))


def clients(connections: Connections) -> Upstreams:
    """Make the clients that use these connections. Makes no call."""
    made: dict[str, Any] = {name.value: adapter.client(connections[name]) for name, adapter in ADAPTERS.items()}
    return Upstreams(connections=connections, **made)


def open_connections(
    settings: WorkerSettings, rate_limits: Mapping[Upstream, RateLimit] = NO_RATE_LIMITS
) -> Connections:
    """Make the connection to each upstream, with our login, each with its rate limit. Makes no call."""
    return {name: _connection(adapter, settings, rate_limits.get(name)) for name, adapter in ADAPTERS.items()}


def logins(settings: WorkerSettings, vault: Vault) -> dict[Upstream, str]:
    """Return a keyed hash of how we reach each upstream and log in there."""
    return {name: vault.fingerprint(_identity(adapter, settings))[:16] for name, adapter in ADAPTERS.items()}


def _identity(adapter: Adapter[Any], settings: WorkerSettings) -> str:
    login, route = adapter.login(settings), route_to(settings, adapter.upstream)
    address = settings_of(settings, adapter.upstream).url
    return repr((address, route.proxy, sorted(login.headers.items()), login.auth))


def _connection(adapter: Adapter[Any], settings: WorkerSettings, rate_limit: RateLimit | None) -> Http:
    login, route = adapter.login(settings), route_to(settings, adapter.upstream)
    addresses = settings_of(settings, adapter.upstream)
    return Http(
        adapter.upstream.label,
        addresses.url,
        external_url=addresses.external_url,
        headers=login.headers,
        auth=login.auth,
        limits=adapter.limits,
        ca_file=route.ca_file,
        proxy=route.proxy,
        pool_size=settings.worker_concurrency,
        rate_limit=rate_limit,
    )

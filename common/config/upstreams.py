"""The settings that every upstream has, read by upstream instead of by name."""

from __future__ import annotations

from dataclasses import dataclass

from common.config.settings import Settings, WorkerSettings
from common.config.urls import is_on_host
from common.workflows import EXTERNAL, Upstream


@dataclass(frozen=True, kw_only=True)
class UpstreamSettings:
    """`url` is for workers, `external_url` for people, None without one of its own. `calls_per_s` 0: unlimited."""

    url: str
    external_url: str | None
    concurrency: int
    calls_per_s: float


@dataclass(frozen=True, kw_only=True)
class Route:
    """How workers reach an upstream: through which proxy, and which CA bundle they trust; None: directly, certifi's."""

    proxy: str | None
    ca_file: str | None


def route_to(settings: WorkerSettings, upstream: Upstream) -> Route:
    """Return the route to one of `EXTERNAL`; its own CA bundle outranks the one for all."""
    ca_file = getattr(settings, f"{upstream.value}_ca_file") or settings.ca_file
    return Route(proxy=getattr(settings, f"{upstream.value}_proxy"), ca_file=str(ca_file) if ca_file else None)


def is_known_address(url: str, settings: Settings) -> bool:
    """Say whether an address is on a host that the settings name: an upstream's, for workers or for people."""
    bases = [
        each
        for name in EXTERNAL
        for each in (settings_of(settings, name).url, settings_of(settings, name).external_url)
    ]
    return any(is_on_host(url, base) for base in (*bases, settings.kibana_ext_url, settings.flower_ext_url) if base)


def settings_of(settings: Settings, upstream: Upstream) -> UpstreamSettings:
    """Return the settings of one of `EXTERNAL`."""
    name = upstream.value
    return UpstreamSettings(
        url=getattr(settings, f"{name}_url"),
        external_url=getattr(settings, f"{name}_ext_url") if upstream.has_pages else None,
        concurrency=getattr(settings, f"{name}_concurrency"),
        calls_per_s=getattr(settings, f"{name}_calls_per_second"),
    )

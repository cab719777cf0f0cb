"""The settings that every upstream has, read by upstream instead of by name."""

from __future__ import annotations

from dataclasses import dataclass

from common.config.settings import Settings
from common.workflows import Upstream


@dataclass(frozen=True, kw_only=True)
class UpstreamSettings:
    """`url` is for workers, `external_url` for people, None without one of its own. `calls_per_s` 0: unlimited."""

    url: str
    external_url: str | None
    concurrency: int
    calls_per_s: float


def settings_of(settings: Settings, upstream: Upstream) -> UpstreamSettings:
    """Return the settings of one of `EXTERNAL`."""
    name = upstream.value
    return UpstreamSettings(
        url=getattr(settings, f"{name}_url"),
        external_url=getattr(settings, f"{name}_ext_url") if upstream.has_pages else None,
        concurrency=getattr(settings, f"{name}_concurrency"),
        calls_per_s=getattr(settings, f"{name}_calls_per_second"),
    )

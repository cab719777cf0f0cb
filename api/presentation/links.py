"""Which address of an outside thing do we show?  The one that people reach, where it differs from the workers'."""

from __future__ import annotations

from urllib.parse import quote

from common.config.settings import Settings
from common.config.upstreams import settings_of
from common.workflows import EXTERNAL


def external(url: str | None, settings: Settings) -> str | None:
    """Return `url` with the workers' base replaced by the users' base."""
    if url is None:
        return None
    for upstream in filter(lambda each: each.has_pages, EXTERNAL):
        base = settings_of(settings, upstream)
        inner, outer = base.url, base.external_url
        if outer and (url == inner or url.startswith(f"{inner}/")):
            return outer + url.removeprefix(inner)
    return url


def to_flower(kind: str, job_id: str, settings: Settings) -> str | None:
    """Return where Flower lists a job's tasks, None when nobody said where Flower is.

    Flower takes a state, a worker and a name from the address and searches for all that is in them, so the name may be
    followed by another word of its search. Source: Flower, "Task filtering".
    """
    if settings.flower_ext_url is None:
        return None
    return f"{settings.flower_ext_url}/tasks?name={quote(f'{kind}. args:{job_id}', safe='')}"

"""URLs for users: where people reach upstream objects and calls of this API, where that differs from what we see."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from flask import has_request_context, request

from api.contract.endpoint import BASE
from common.config.settings import Settings
from common.config.upstreams import is_known_address, settings_of
from common.workflows import EXTERNAL


def of_call(path: str) -> str:
    """Return the path at which clients reach a call, given below BASE: a proxy may have removed a prefix of it."""
    prefix = request.script_root if has_request_context() else ""  # commands print these paths, too
    return f"{prefix}{BASE}{path}"


def external(url: str | None, settings: Settings) -> str | None:
    """Return `url` with the base URL for workers replaced by the base URL for users.

    None for an address on a host that the settings do not name: it is an upstream's word, and may lead anywhere.
    """
    if url is None:
        return None
    for upstream in filter(lambda each: each.has_pages, EXTERNAL):
        base = settings_of(settings, upstream)
        inner, outer = base.url, base.external_url
        if outer and (url == inner or url.startswith(f"{inner}/")):
            return outer + url.removeprefix(inner)
    return url if is_known_address(url, settings) else None


def external_within(value: Any, settings: Settings) -> Any:
    """Return a JSON value in which each URL, by its name, is what `external` makes of it, "" for None."""
    match value:
        case dict():
            return {
                name: (external(each, settings) or "")
                if name.endswith("url") and isinstance(each, str)
                else external_within(each, settings)
                for name, each in value.items()
            }
        case list():
            return [external_within(each, settings) for each in value]
        case _:
            return value


def flower_tasks_url(kind: str, job_id: str, settings: Settings) -> str | None:
    """Return the URL of a job's tasks in Flower, None while Flower's address is not configured.

    The parameter `name` holds a task name followed by a search term: Flower applies both. Source: Flower, "Task
    filtering".
    """
    if settings.flower_ext_url is None:
        return None
    return f"{settings.flower_ext_url}/tasks?name={quote(f'{kind}. args:{job_id}', safe='')}"

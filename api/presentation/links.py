"""URLs for users: where people reach upstream objects and calls of this API, where that differs from what we see."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from flask import has_request_context, request

from api.contract.endpoint import BASE
from common.config.settings import Settings
from common.config.upstreams import settings_of
from common.workflows import EXTERNAL


def of_call(path: str) -> str:
    """Return the path at which clients reach a call, given below BASE: a proxy may have removed a prefix of it."""
    prefix = request.script_root if has_request_context() else ""  # commands print these paths, too
    return f"{prefix}{BASE}{path}"


def external(url: str | None, settings: Settings) -> str | None:
    """Return `url` with the base URL for workers replaced by the base URL for users."""
    if url is None:
        return None
    for upstream in filter(lambda each: each.has_pages, EXTERNAL):
        base = settings_of(settings, upstream)
        inner, outer = base.url, base.external_url
        if outer and (url == inner or url.startswith(f"{inner}/")):
            return outer + url.removeprefix(inner)
    return url


def external_within(value: Any, settings: Settings) -> Any:
    """Return a JSON value in which each URL is what `external` makes of it."""
    match value:
        case str():
            return external(value, settings)
        case dict():
            return {name: external_within(each, settings) for name, each in value.items()}
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

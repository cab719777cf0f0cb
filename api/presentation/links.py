"""Which address of an outside thing do we show?  The one that people reach, where it differs from the workers'."""

from __future__ import annotations

from urllib.parse import quote

from common.config.settings import Settings


def external(url: str | None, settings: Settings) -> str | None:
    """Return `url` with the workers' base replaced by the users' base."""
    if url is None:
        return None
    for inner, outer in (
        (settings.gitlab_url, settings.gitlab_ext_url),
        (settings.jenkins_url, settings.jenkins_ext_url),
        (settings.argo_url, settings.argo_ext_url),
    ):
        if outer and (url == inner or url.startswith(f"{inner}/")):
            return outer + url.removeprefix(inner)
    return url


def flower_tasks_url(kind: str, job_id: str, settings: Settings) -> str | None:
    """Return where Flower lists a job's tasks, None when nobody said where Flower is.

    Flower takes a state, a worker and a name from the address and searches for all that is in them, so the name may be
    followed by another word of its search. Source: Flower, "Task filtering".
    """
    if settings.flower_ext_url is None:
        return None
    return f"{settings.flower_ext_url}/tasks?name={quote(f'{kind}. args:{job_id}', safe='')}"

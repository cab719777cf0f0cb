"""Which address of an outside thing do we show?  The one that people reach, where it differs from the workers'."""

from __future__ import annotations

from common.settings import Settings


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

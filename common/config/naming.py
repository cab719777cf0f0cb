"""Names of an app's parts on the upstreams."""

from __future__ import annotations

from common.config.settings import Settings


def helm_repository(app: str) -> str:
    """Return the path of the helm repository; app names contain no underscore, so it cannot be another app's."""
    return f"{app}_helm"


def helm_url(source_url: str) -> str:
    """Return the clone address of the helm repository, which is next to the app's own."""
    return helm_repository(source_url.removesuffix(".git")) + ".git"


def pipeline(app: str, team: str) -> str:
    return f"{app}_{team}"


def image(settings: Settings, app: str) -> str:
    """Return the image's name without a tag."""
    return f"{settings.container_repository_image_name.rstrip('/')}/{app}"

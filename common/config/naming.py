"""Names of an app's parts on the upstreams."""

from __future__ import annotations

from common.config.settings import Settings


def helm_repository(app: str) -> str:
    """Return the path of the helm repository; app names contain no underscore, so it cannot be another app's."""
    return f"{app}_helm"


def pipeline(app: str, team: str) -> str:
    return f"{app}_{team}"


def image(settings: Settings, app: str) -> str:
    """Return the image's name without a tag."""
    return f"{settings.container_repository_image_name.rstrip('/')}/{app}"

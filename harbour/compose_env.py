"""Write `compose/harbour.env`, the settings for the stand-ins under Docker Compose: `python -m harbour.compose_env`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from harbour.config import STAND_INS

FIRST_PORT = 18080  # docker-compose.yml publishes it and the next ones
HEADER = """\
# Settings for the stand-ins of docker-compose.yml: cp compose/harbour.env .env
# Their tokens are in secrets/, like those of real upstreams: make secrets for=harbour
# All of it is plain HTTP: the stand-ins are beside the workers, and the API is published on this machine only.
# Links that people get work on this machine only; the doctor reports that as a failed check.
COMPOSE_PROFILES=harbour
"""
FOOTER = """\
CONTAINER_REPOSITORY_IMAGE_NAME=registry.example.com/apps
COOKIE_SECURE=false
ALLOW_INSECURE_COOKIE=true
ALLOW_PLAIN_UPSTREAMS=true
SIGNUP_BUNDLED_TEAMS_OPEN=true
GITLAB_SKIP_CONFIRMATION=true
"""


def text() -> str:
    """Return the content of the file."""
    return HEADER + "".join(f"{name}={value}\n" for name, value in _settings()) + FOOTER


def _settings() -> Iterator[tuple[str, str]]:
    for each in STAND_INS:
        port = FIRST_PORT + each.offset
        yield each.url, f"http://harbour:{port}"
        yield each.url.replace("_URL", "_EXT_URL"), f"http://127.0.0.1:{port}"
        yield from each.users.items()


if __name__ == "__main__":
    Path("compose/harbour.env").write_text(text(), encoding="utf-8")

"""What a build says of itself: the commit it built and the image it pushed.

    commit   the git plugin's record of the checkout
    image    the build's description, which the bundled Jenkinsfiles set: `pushed NAME:TAG`; without one the console,
             where a shell prints `+ docker push NAME:TAG`, and other builders their own words

What neither says stays unknown: it is not guessed from what the build was given.
"""

from __future__ import annotations

import re

from worker.upstreams.jenkins.schemas import Build

_PUSH = re.compile(r"push|--destination", re.IGNORECASE)


def commit(build: Build, source_url: str) -> str | None:
    """Return the commit of the app's repository that was built, None where Jenkins has no record of it.

    A single record under another address is the same repository by another name of its host.
    """
    by_url = {_plain(url): commit for url, commit in build.commits.items()}
    only = next(iter(by_url.values())) if len(by_url) == 1 else None
    return by_url.get(_plain(source_url), only)


def image(build: Build, image_name: str, console: str) -> str | None:
    """Return the app's image that was pushed, name and tag; None where neither description nor console names it."""
    reference = re.compile(rf"(?<![\w./-]){re.escape(image_name)}:([A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})")
    pushes = [line for line in console.splitlines() if _PUSH.search(line)]
    for text in (build.description, *reversed(pushes)):
        if found := reference.search(text):
            return found[0]
    return None


def _plain(url: str) -> str:
    return url.rstrip("/").removesuffix(".git")

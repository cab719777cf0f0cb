"""Container registry of the harbour: which images exist, and the commit that each was built from.

It speaks no protocol. Builds of the Jenkins stand-in push here, Argo CD's stand-in runs only what is here, and the
control interface shows it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from pathlib import Path

from harbour.store import StateFile


class Registry:
    """Images by name and tag. It survives a restart like the state of the stand-ins, once `keep` named its file."""

    def __init__(self, images: Iterable[str] = ()) -> None:
        """`images` are there from the start; no commit of theirs is known."""
        self._lock = threading.Lock()
        self._images: dict[str, str | None] = {whole_name(image): None for image in images}
        self._store: StateFile | None = None
        self.is_immutable = False
        """While True, no tag is replaced, as in an ECR repository with immutable tags."""

    def push(self, image: str, commit: str | None = None) -> None:
        """Add an image, `name:tag`; one of the same name and tag is replaced."""
        with self._lock:
            self._images[whole_name(image)] = commit
        if self._store is not None:
            self._store.save()

    def has(self, image: str) -> bool:
        with self._lock:
            return whole_name(image) in self._images

    def refusal(self, image: str) -> str | None:
        """Return why the registry would not take a push of this image, None when it would."""
        if not (self.is_immutable and self.has(image)):
            return None
        tag = whole_name(image).rpartition(":")[2]
        return f"tag invalid: The image tag '{tag}' already exists in the repository and cannot be overwritten"

    def images(self) -> dict[str, str | None]:
        """Map each image to the commit it was built from, None where that is unknown."""
        with self._lock:
            return dict(sorted(self._images.items()))

    def keep(self, state_file: Path) -> None:
        """Load the images that were saved in this file, and save all in it from now on."""
        self._store = StateFile(state_file, lambda: json.dumps(self.images()))
        saved = self._store.open()
        with self._lock:
            self._images |= saved or {}

    def close(self) -> None:
        """Write the file, if there is one."""
        if self._store is not None:
            self._store.close()
            self._store = None


def whole_name(image: str) -> str:
    """Return the image with its tag; `latest` is the tag of one that has none, as for every client."""
    return image if ":" in image.rpartition("/")[2] else f"{image}:latest"

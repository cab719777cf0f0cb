"""State file of a stand-in; its state survives a restart."""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SHORTEST_PAUSE_S = 0.05


class StateFile:
    """One JSON file, replaced atomically by a thread of its own soon after each `save`, and always by `close`.

    No request waits for the disk. A large state is written less often, so that saving takes at most a fifth of one
    processor: a killed process loses its last changes, never the file.
    """

    def __init__(self, path: Path, dump: Callable[[], str]) -> None:
        self.path = path
        self._dump = dump
        self._changed = threading.Event()
        self._closing = threading.Event()
        self._pause_s = SHORTEST_PAUSE_S
        self._thread = threading.Thread(target=self._run, daemon=True)

    def open(self) -> dict[str, Any] | None:
        """Start to write saved states, and return the last one; None when there is none."""
        state: dict[str, Any] | None = json.loads(self.path.read_text()) if self.path.exists() else None
        self._thread.start()
        return state

    def save(self) -> None:
        self._changed.set()

    def close(self) -> None:
        self._closing.set()
        self._changed.set()
        self._thread.join()
        self._write()

    def _run(self) -> None:
        while not self._closing.wait(self._pause_s):
            self._changed.wait()
            self._write()

    def _write(self) -> None:
        began = time.monotonic()
        self._changed.clear()
        _replace(self.path, self._dump())
        self._pause_s = max(SHORTEST_PAUSE_S, 4 * (time.monotonic() - began))


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)  # mkstemp: readable by the owner only
    with os.fdopen(handle, "w") as file:
        file.write(text)
    Path(name).replace(path)

"""Where is a log-in kept between two commands?  In one file for each server, which its owner alone can read."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

OTHERS = 0o077


def directory(environment: Mapping[str, str]) -> Path:
    """Return where this program's files are. Source: XDG base directories, which ignores a relative path."""
    named = Path(environment.get("XDG_CONFIG_HOME", ""))
    return (named if named.is_absolute() else Path.home() / ".config") / "slipway"


class Tokens:
    """The tokens of one user of this machine."""

    def __init__(self, place: Path) -> None:
        self._place = place

    def find(self, url: str) -> str | None:
        """Return the token of the log-in at this server. Raises PermissionError when others can read the file."""
        file = self._file(url)
        try:
            with file.open(encoding="utf-8") as stream:
                if os.fstat(stream.fileno()).st_mode & OTHERS:
                    raise PermissionError(f"Others can read {file}: delete it, and log in again.")
                token: str = json.load(stream)["token"]
        except FileNotFoundError:
            return None
        except (ValueError, LookupError, TypeError):
            return None  # not written by us, or cut: logging in again mends it
        return token

    def keep(self, url: str, token: str) -> None:
        """Write the token whole or not at all; nobody else can read it at any moment."""
        self._place.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self._place, prefix=".new-")  # with mode 0600
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                json.dump({"url": url, "token": token}, stream)
                stream.flush()
                os.fsync(stream.fileno())
            Path(name).replace(self._file(url))
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def forget(self, url: str) -> None:
        self._file(url).unlink(missing_ok=True)

    def _file(self, url: str) -> Path:
        return self._place / f"{quote(url, safe='')}.json"

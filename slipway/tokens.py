"""Log-ins kept between commands: one file for each server, readable by its owner only."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

OTHERS = 0o077


def directory(environment: Mapping[str, str]) -> Path:
    """Return the directory of this program's files. Source: XDG base directories; a relative path is ignored."""
    named = Path(environment.get("XDG_CONFIG_HOME", ""))
    return (named if named.is_absolute() else Path.home() / ".config") / "slipway"


class Tokens:
    """The tokens of this machine's user, one for each server."""

    def __init__(self, place: Path) -> None:
        self._place = place

    def find(self, url: str) -> str | None:
        """Return the token of the log-in at this server. Raises PermissionError when others can read the file."""
        file = self._file(url)
        try:
            with file.open(encoding="utf-8") as stream:
                if os.fstat(stream.fileno()).st_mode & OTHERS:
                    raise PermissionError(f"Other users can read {file}. Delete it, then log in again.")
                token: str = json.load(stream)["token"]
        except FileNotFoundError:
            return None
        except (ValueError, LookupError, TypeError):
            return None  # not our file, or a truncated one: the next log-in replaces it
        return token

    def keep(self, url: str, token: str) -> None:
        """Write the token whole or not at all; the file is never readable by others."""
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

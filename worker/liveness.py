"""The register of this host's workers, which shows those that are dead.

Every worker locks a file that has its name, and the kernel drops the lock when the process ends, however it ends. So a
file that can be locked belongs to a dead worker; one that hangs or is stopped keeps its lock. Workers of other hosts
are not seen here: their leases run out.
"""

from __future__ import annotations

import fcntl
import hashlib
import math
import os
import stat
import time
from pathlib import Path

from sqlalchemy import make_url

from worker.healthcheck import FORMING, HeartbeatRecord, home, is_unlocked


class WorkerRegister:
    """The workers of one database on this host, one file each."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._own: int | None = None  # stays open, and locked, as long as the process lives

    def sign_on(self, worker: str) -> None:
        """Lock a file of this name as long as the process lives. Raises OSError."""
        _make_private(self._directory)
        forming = self._directory / f"{FORMING}{worker}"
        self._own = os.open(forming, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(self._own, fcntl.LOCK_EX)
        self.write_heartbeat(HeartbeatRecord(at_s=time.monotonic(), turned_at_s=-math.inf))
        forming.rename(self._directory / worker)  # visible only now: nobody finds it unlocked

    def write_heartbeat(self, record: HeartbeatRecord) -> None:
        """Write a heartbeat into our file; does nothing where sign_on failed. Raises OSError."""
        if self._own is not None:
            os.pwrite(self._own, str(record).encode(), 0)

    def dead(self) -> list[str]:
        """Return the names of the workers that registered and have ended."""
        if self._own is None:
            return []
        return [
            file.name for file in self._directory.iterdir() if not file.name.startswith(FORMING) and is_unlocked(file)
        ]

    def remove(self, worker: str) -> None:
        """Remove a dead worker's file; another clock may have done so already."""
        (self._directory / worker).unlink(missing_ok=True)


def directory_for(db_url: str) -> Path:
    """Return where this user's workers of this database sign on; those of another database have another directory."""
    url = make_url(db_url)
    database = str(Path(url.database or "").absolute()) if url.get_backend_name() == "sqlite" else url.database
    identity = f"{url.get_backend_name()} {url.host} {url.port} {database}"
    return home() / hashlib.sha256(identity.encode()).hexdigest()[:16]


def _make_private(directory: Path) -> None:
    """Raises PermissionError when somebody else can write there: `/tmp` belongs to everyone."""
    for place in (directory.parent, directory):
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = place.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
            raise PermissionError(f"{place} is not a directory that only this user can write to")

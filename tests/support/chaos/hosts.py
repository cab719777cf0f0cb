"""Hosts: a name and a temporary directory of their own, so that what is kept per host helps no other one."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Host:
    """Where a worker runs. Workers of one host see who of them died; others wait until a lease runs out."""

    name: str
    temporary: Path

    def command(self, *words: str) -> tuple[str, ...]:
        """Return the words as a command that runs there."""
        self.temporary.mkdir(parents=True, exist_ok=True)
        settings = ("env", f"TMPDIR={self.temporary}")
        if not can_be_named():
            return (*settings, *words)
        named = ("unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', self.name)
        return (*settings, *named, *words)


@cache
def can_be_named() -> bool:
    """Say whether a process may have a host name of its own; without it, hosts differ in their directories only."""
    return _works("unshare", "--uts", "hostname", "elsewhere")


@cache
def can_mount() -> bool:
    return _works("unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt")


def _works(*command: str) -> bool:
    return shutil.which(command[0]) is not None and subprocess.run(command, capture_output=True).returncode == 0


class SmallDisk:
    """A directory on a file system of limited size, seen only by what runs behind `prefix`."""

    def __init__(self, place: Path, megabytes: int) -> None:
        place.mkdir()
        mount = f'mount -t tmpfs -o size={megabytes}m tmpfs "$0" && echo mounted && exec sleep 86400'
        self._holder = subprocess.Popen(
            ("unshare", "--mount", "sh", "-c", mount, str(place)), stdout=subprocess.PIPE, text=True
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "mounted\n"
        self.prefix: Sequence[str] = ("nsenter", f"--mount=/proc/{self._holder.pid}/ns/mnt")
        self.inside = place
        self.outside = Path(f"/proc/{self._holder.pid}/root{place}")

    def fill(self) -> None:
        """Leave no byte free."""
        with (self.outside / "filler").open("ab", buffering=0) as filler:
            for size in (1 << 20, 4096):
                try:
                    while filler.write(bytes(size)):
                        pass
                except OSError:
                    continue

    def make_room(self) -> None:
        (self.outside / "filler").unlink(missing_ok=True)

    def close(self) -> None:
        self._holder.kill()
        self._holder.wait()
        assert self._holder.stdout is not None
        self._holder.stdout.close()

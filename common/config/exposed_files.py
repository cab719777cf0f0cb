"""Files of settings that other users of the machine may write, or read.

"Others" are all users: a group is somebody's decision. In a directory with the sticky bit nobody replaces a file of
ours, and on a file system that is mounted read-only nobody writes one, whatever its mode says: so Kubernetes mounts
secrets, and Docker on Windows, where every file has mode 777.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from os import PathLike
from pathlib import Path

from pydantic_settings import BaseSettings

from common.config.renamed import FORMER_NAMES


def writable_by_others(config: BaseSettings) -> list[Path]:
    """Return the files, and the directory of secrets, through which any user could change our settings."""
    named = [value for name, value in config if isinstance(value, Path) and name != "secrets_dir"]
    files = [
        file
        for file in (*_with_secrets(config), *named)
        if _mode(file) & stat.S_IWOTH and not _is_on_read_only_mount(file)
    ]
    directory = _secrets_dir(config)
    return [directory, *files] if _takes_files_of_others(directory) else files


def readable_by_others(config: BaseSettings) -> list[Path]:
    """Return the files with secrets that every user of this machine can read."""
    return [
        file
        for file in _with_secrets(config)
        if _mode(file) & stat.S_IROTH and _mode(file.absolute().parent) & stat.S_IXOTH
    ]


def _with_secrets(config: BaseSettings) -> Iterator[Path]:
    """Yield the files that exist out of those from which this process reads settings."""
    given = config.model_config.get("env_file") or ()
    env_files = [given] if isinstance(given, str | PathLike) else given
    names = type(config).model_fields.keys()
    former = (FORMER_NAMES[name] for name in names if name in FORMER_NAMES)
    secrets = (_secrets_dir(config) / name for name in (*names, *former))
    yield from (file for file in (*map(Path, env_files), *secrets) if file.is_file())


def _secrets_dir(config: BaseSettings) -> Path:
    return Path(str(dict(config)["secrets_dir"]))


def _takes_files_of_others(directory: Path) -> bool:
    mode = _mode(directory)
    is_open = bool(mode & stat.S_IWOTH) and not mode & stat.S_ISVTX
    return is_open and not _is_on_read_only_mount(directory)


def _is_on_read_only_mount(path: Path) -> bool:
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError:  # whoever needs it reports that
        return 0

"""Bare git repositories on the disk."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

GIT_ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": os.devnull,  # the user's configuration must not matter
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_COUNT": "2",
    "GIT_CONFIG_KEY_0": "safe.directory",  # a mounted volume may belong to another user
    "GIT_CONFIG_VALUE_0": "*",
    "GIT_CONFIG_KEY_1": "http.receivepack",
    "GIT_CONFIG_VALUE_1": "true",
}
AUTHOR = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "Harbour"), ("EMAIL", "harbour@example.com"), ("DATE", "2024-01-01T00:00:00Z"))
}


def git(*arguments: str, env: dict[str, str] | None = None) -> str:
    """Run git without any user's configuration and return its output."""
    command = [shutil.which("git") or "git", *arguments]
    environment = {"PATH": os.environ.get("PATH", os.defpath), **GIT_ENVIRONMENT, **(env or {})}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)  # noqa: S603 - ours
    return done.stdout


def create(path: Path, contents: Path, *, branch: str = "main") -> None:
    """Create a bare repository whose branch is one commit with a directory's files. The same files give the same id."""
    create_empty(path, branch=branch)
    inside = (f"--git-dir={path}", f"--work-tree={contents}")
    git(*inside, "add", "--all", "--force", ".")
    git(*inside, "commit", "--quiet", "--message=Start from here", env=AUTHOR)
    git(f"--git-dir={path}", "repack", "-adq")
    git(f"--git-dir={path}", "pack-refs", "--all")
    (path / "index").unlink()


def create_empty(path: Path, *, branch: str = "main") -> None:
    """Create a bare repository without a commit."""
    git("init", "--quiet", "--bare", "--template=", f"--initial-branch={branch}", str(path))


def copy(source: Path, target: Path) -> None:
    """Make `target` an independent copy of `source`; what was there before is deleted."""
    shutil.rmtree(target, ignore_errors=True)  # there may be nothing
    shutil.copytree(source, target)


def refs(path: Path) -> dict[str, str]:
    """Return every ref and its commit; empty while there is no repository."""
    if not path.exists():
        return {}
    lines = git(f"--git-dir={path}", "for-each-ref", "--format=%(refname) %(objectname)").splitlines()
    return dict(line.split(" ") for line in lines)


def branches(path: Path) -> list[str]:
    return [name.removeprefix("refs/heads/") for name in refs(path) if name.startswith("refs/heads/")]


def files(path: Path, branch: str) -> list[str]:
    """Return the paths of all files at the tip of a branch."""
    if f"refs/heads/{branch}" not in refs(path):
        return []
    return git(f"--git-dir={path}", "ls-tree", "-r", "--name-only", branch).splitlines()

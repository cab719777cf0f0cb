"""Git in the workspace of a build: real clones, commits and pushes, as the account of a credential."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from harbour.git_client import environment

TIMEOUT_S = 15.0
NO_BRANCH = "Couldn't find any revision to build. Verify the repository and branch configuration for this job."
_SUBSTITUTION = re.compile(r"s(?P<mark>.)(?P<old>.*?)(?P=mark)(?P<new>.*?)(?P=mark)g?")


class GitError(Exception):
    """Git has refused or failed; the message is its own, without credentials."""


@dataclass(frozen=True)
class Account:
    """What a credential holds."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Checkout:
    """One commit of a repository in a directory of the workspace."""

    url: str
    branch: str
    commit: str
    place: Path


class Workspace:
    """The checkouts of one build below `root`, by their directory relative to the workspace."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._clones: dict[tuple[str, str, Account | None], Checkout] = {}
        self.directories: dict[str, Checkout] = {}

    def fetch(self, url: str, branch: str, account: Account | None) -> Checkout:
        """Return the tip of a branch, "" is the default one; within one build it stays the same. Raises GitError."""
        key = (url, branch, account)
        if key not in self._clones:
            place = self._root / str(len(self._clones))
            options = ("--quiet", "--no-checkout", "--depth=1", *((f"--branch={branch}",) if branch else ()))
            _git("clone", *options, "--", url, str(place), account=account)
            commit = _git("rev-parse", "HEAD", place=place).strip()
            self._clones[key] = Checkout(url=url, branch=branch, commit=commit, place=place)
        return self._clones[key]

    def check_out(self, directory: str, url: str, branch: str, account: Account | None) -> Checkout:
        """Put the tip of a branch into a directory. Raises GitError."""
        self.directories[directory] = found = self.fetch(url, branch, account)
        return found

    def read(self, checkout: Checkout, path: str) -> str | None:
        """Return a file of the commit, None when it is not in it."""
        try:
            return _git("show", f"{checkout.commit}:{path}", place=checkout.place)
        except GitError:
            return None

    def edit(self, checkout: Checkout, path: str, expressions: list[str]) -> None:
        """Change a file as `sed -i -e 's|old|new|'` does; other commands of sed are not known. Raises GitError."""
        if not (checkout.place / ".git" / "index").exists():
            _git("reset", "--hard", "--quiet", place=checkout.place)
        file = checkout.place / path
        if not file.is_file():
            raise GitError(f"sed: can't read {path}: No such file or directory")
        lines = file.read_text().splitlines()
        for match in filter(None, map(_SUBSTITUTION.fullmatch, expressions)):
            lines = [re.sub(match["old"], match["new"].replace("\\", r"\\"), line) for line in lines]
        file.write_text("".join(f"{line}\n" for line in lines))

    def commit(self, checkout: Checkout, message: str) -> str:
        """Commit all changes and return git's output. Raises GitError when there are none."""
        who = ("-c", "user.name=Jenkins", "-c", "user.email=jenkins@example.com")
        return _git(*who, "commit", "--all", f"--message={message}", place=checkout.place)

    def push(self, checkout: Checkout, refspec: str, account: Account | None) -> None:
        """Push to where the checkout came from. Raises GitError with the server's words."""
        _git("push", "--quiet", checkout.url, refspec, place=checkout.place, account=account)

    def close(self) -> None:
        shutil.rmtree(self._root, ignore_errors=True)


def _git(*arguments: str, place: Path | None = None, account: Account | None = None) -> str:
    command = ["git", *(("-C", str(place)) if place else ()), *arguments]
    try:
        done = subprocess.run(  # noqa: S603 - no shell, every URL comes after `--` or is the checkout's own
            command,
            env=environment(account.username, account.password) if account else environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise GitError(f'Command "git {arguments[0]}" timed out') from None
    if done.returncode:
        raise GitError((done.stderr or done.stdout).strip())
    return done.stdout

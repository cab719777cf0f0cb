"""Access to repositories and their charts, with the real git over the real URL."""

from __future__ import annotations

import os
import posixpath
import re
import signal
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass, field

from harbour.git_client import environment

_STATUS = re.compile(r"returned error: (\d{3})")
_PLACE = re.compile(r"https?://([^/@]+)")
_DEAD = ("failed to connect", "couldn't connect", "could not connect")
_NOT_GIT = ("not found", "does not appear to be a git repository", "not supported", "not allowed", "strange")
_TIMEOUT = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
_COMMIT = re.compile(r"[0-9a-f]{7,40}")


class GitError(Exception):
    """The repository cannot be read. `code` is the gRPC code with which the repo server says it."""

    def __init__(self, message: str, *, code: str = "Unknown") -> None:
        super().__init__(message)
        self.code = code


class ChartError(Exception):
    """The repository can be read, but has no chart at that revision and path, or one that does not render."""


@dataclass(frozen=True)
class Credentials:
    username: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True)
class Chart:
    """A folder at one commit: the text of each file, by its path in the folder."""

    commit: str
    files: dict[str, str]


def check_readable(url: str, credentials: Credentials, *, timeout_s: float) -> None:
    """List the refs. Raises GitError; an empty repository counts as unreadable."""
    if not url:
        raise GitError('unable to initialize git client: repository "" cannot be initialized: repo URL is invalid')
    doing = "unable to ls-remote HEAD on repository"
    try:
        refs = _listed(url, credentials, timeout_s)
    except GitError as error:
        raise GitError(f"{doing}: {error}") from error
    if not refs:
        raise GitError(f"{doing}: failed to list refs: remote repository is empty")


def resolve(url: str, credentials: Credentials, *, revision: str, timeout_s: float) -> str:
    """Return the commit that `revision` names in the repository now. Raises GitError.

    A text in the form of a commit id that is not a ref is accepted unchecked, as in Argo CD.
    """
    refs = _listed(url, credentials, timeout_s)
    tag = f"refs/tags/{revision}"
    for name in (revision, f"refs/heads/{revision}", f"{tag}^{{}}", tag):
        if name in refs:
            return refs[name]
    if _COMMIT.fullmatch(revision):
        return revision
    raise GitError(f"unable to resolve '{revision}' to a commit SHA")


def _listed(url: str, credentials: Credentials, timeout_s: float) -> dict[str, str]:
    """Return the commit of each ref."""
    listed = _remote("ls-remote", "--quiet", "--", url, url=url, credentials=credentials, timeout_s=timeout_s)
    return {name: commit for commit, _, name in (line.partition("\t") for line in listed.splitlines())}


def find_chart(url: str, credentials: Credentials, *, revision: str, path: str, timeout_s: float) -> Chart:
    """Return the files in `path` at `revision`. Raises GitError, ChartError."""
    folder = _folder(path)
    with tempfile.TemporaryDirectory(prefix="argocd-") as directory:
        arguments = ("clone", "--quiet", "--bare", "--", url, directory)
        _remote(*arguments, url=url, credentials=credentials, timeout_s=timeout_s)
        commit = _commit(directory, revision)
        return Chart(commit, _files(directory, commit, folder, path))


def _folder(path: str) -> str:
    """Return the folder as git names it, "" for the root."""
    if posixpath.isabs(path):
        raise ChartError(f"{path}: app path is absolute")
    folder = posixpath.normpath(path)
    if folder.startswith(".."):
        raise ChartError(f"{path}: app path outside root")
    return "" if folder == "." else folder


def _files(directory: str, commit: str, folder: str, path: str) -> dict[str, str]:
    archive = f"{directory}/chart.tar"
    try:
        _local(directory, "archive", "--format=tar", f"--output={archive}", f"{commit}:{folder}")
    except GitError as error:
        raise ChartError(f"{path}: app path does not exist") from error
    with tarfile.open(archive) as tar:
        members = ((each, tar.extractfile(each)) for each in tar if each.isfile())
        return {each.name: file.read().decode("utf-8", "replace") for each, file in members if file is not None}


def _commit(directory: str, revision: str) -> str:
    name = f"{revision or 'HEAD'}^{{commit}}"
    try:
        return _local(directory, "rev-parse", "--verify", "--quiet", "--end-of-options", name)
    except GitError as error:
        raise ChartError(f"unable to resolve '{revision}' to a commit SHA") from error


def _local(directory: str, *arguments: str) -> str:
    return _git(f"--git-dir={directory}", *arguments, credentials=Credentials(), timeout_s=10.0).strip()


def _remote(*arguments: str, url: str, credentials: Credentials, timeout_s: float) -> str:
    """Run a git command that reads `url`, with its failure in the words of Argo CD's git library."""
    try:
        return _git(*arguments, credentials=credentials, timeout_s=timeout_s)
    except GitError as error:
        raise GitError(f"failed to list refs: {_reason(str(error), url)}") from None


def _git(*arguments: str, credentials: Credentials, timeout_s: float) -> str:
    with subprocess.Popen(  # noqa: S603 - no shell, every URL comes after `--`, and only http is allowed
        ["git", *arguments],  # noqa: S607 - the user's own git
        env=environment(credentials.username, credentials.password),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            output, problem = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # git's transport is a child of its own, and holds the pipes
            raise GitError(_TIMEOUT) from None
    if process.returncode:
        raise GitError(problem)
    return output


def _reason(problem: str, url: str) -> str:
    """Translate git's message; only the server's own words are passed on: the rest may contain secrets."""
    said = problem.lower()
    asked = f"{url}/info/refs?service=git-upload-pack"
    if problem == _TIMEOUT:
        return f'Get "{asked}": {_TIMEOUT}'
    if "could not read username" in said or "authentication failed" in said:
        return "authentication required: HTTP Basic: Access denied.\n"
    place = _PLACE.match(url)
    if place and "could not resolve host" in said:
        return f'Get "{asked}": dial tcp: lookup {place[1].partition(":")[0]} on 127.0.0.53:53: no such host'
    if place and any(phrase in said for phrase in _DEAD):
        return f'Get "{asked}": dial tcp {place[1]}: connect: connection refused'
    if place and "connection reset" in said:
        return f'Get "{asked}": read tcp {place[1]}: read: connection reset by peer'
    if "empty reply" in said:
        return f'Get "{asked}": EOF'
    if "certificate" in said:
        return f'Get "{asked}": tls: failed to verify certificate: x509: certificate signed by unknown authority'
    return _refusal(problem, asked)


def _refusal(problem: str, asked: str) -> str:
    """Return what the git server's answer becomes; without one, the address is not a repository's."""
    status = _STATUS.search(problem)
    words = " ".join(line.removeprefix("remote:").strip() for line in problem.splitlines() if "remote:" in line)
    if status and status[1] == "403":
        return f"authorization failed: {words}"
    if status and status[1] != "404":
        return f'unexpected client error: unexpected requesting "{asked}" status code: {status[1]}'
    if status or any(phrase in problem.lower() for phrase in _NOT_GIT):
        return f"repository not found: {words}" if words else "repository not found"
    return "unexpected client error"

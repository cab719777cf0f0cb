"""Access to repositories and their charts, with the real git over the real URL.

Credentials go to git in its environment: every process of the machine can read arguments, and URLs appear in messages.
"""

from __future__ import annotations

import os
import posixpath
import re
import signal
import subprocess
import tempfile
from base64 import b64encode
from dataclasses import dataclass, field

_REASONS = (
    ("could not read username", "authentication required: HTTP Basic: Access denied"),
    ("authentication failed", "authentication required: HTTP Basic: Access denied"),
    ("error: 403", "authorization failed"),
    ("could not resolve host", "dial tcp: lookup failed: no such host"),
    ("failed to connect", "dial tcp: connect: connection refused"),
    ("couldn't connect", "dial tcp: connect: connection refused"),
    ("ssl certificate", "x509: certificate signed by unknown authority"),
    ("not found", "repository not found: Repository not found"),
)
"""Git's messages, and Argo CD's messages for them."""
_COMMIT = re.compile(r"[0-9a-f]{7,40}")


class GitError(Exception):
    """The repository cannot be read."""


class ChartError(Exception):
    """The repository can be read, but has no chart at that revision and path."""


@dataclass(frozen=True)
class Credentials:
    username: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True)
class Chart:
    """A chart at one commit; `values` is its own `values.yaml`, "" when it has none."""

    commit: str
    values: str


def check_readable(url: str, credentials: Credentials, *, timeout_s: float) -> None:
    """List the refs. Raises GitError."""
    _git("ls-remote", "--quiet", "--", url, credentials=credentials, timeout_s=timeout_s)


def resolve(url: str, credentials: Credentials, *, revision: str, timeout_s: float) -> str:
    """Return the commit that `revision` names in the repository now. Raises GitError.

    A text in the form of a commit id that is not a ref is accepted unchecked, as in Argo CD.
    """
    listed = _git("ls-remote", "--quiet", "--", url, credentials=credentials, timeout_s=timeout_s)
    refs = {name: commit for commit, _, name in (line.partition("\t") for line in listed.splitlines())}
    tag = f"refs/tags/{revision}"
    for name in (revision, f"refs/heads/{revision}", f"{tag}^{{}}", tag):
        if name in refs:
            return refs[name]
    if _COMMIT.fullmatch(revision):
        return revision
    raise GitError(f"unable to resolve '{revision}' to a commit SHA")


def find_chart(url: str, credentials: Credentials, *, revision: str, path: str, timeout_s: float) -> Chart:
    """Return the chart in `path` at `revision`. Raises GitError, ChartError."""
    with tempfile.TemporaryDirectory(prefix="argocd-") as directory:
        arguments = ("clone", "--quiet", "--bare", "--", url, directory)
        _git(*arguments, credentials=credentials, timeout_s=timeout_s)
        commit = _commit(directory, revision)
        folder = posixpath.normpath(path)
        if not _has(directory, commit, folder):
            raise ChartError(f"{path}: app path does not exist")
        if not _has(directory, commit, posixpath.normpath(f"{folder}/Chart.yaml")):
            raise ChartError(f"{path}/Chart.yaml: no such file or directory")
        values = posixpath.normpath(f"{folder}/values.yaml")
        has_values = _has(directory, commit, values)
        return Chart(commit, _local(directory, "show", f"{commit}:{values}") if has_values else "")


def _commit(directory: str, revision: str) -> str:
    name = f"{revision or 'HEAD'}^{{commit}}"
    try:
        return _local(directory, "rev-parse", "--verify", "--quiet", "--end-of-options", name)
    except GitError as error:
        raise ChartError(f"unable to resolve '{revision}' to a commit SHA") from error


def _has(directory: str, commit: str, path: str) -> bool:
    name = f"{commit}:" if path == "." else f"{commit}:{path}"
    try:
        _local(directory, "cat-file", "-e", name)
    except GitError:
        return False
    return True


def _local(directory: str, *arguments: str) -> str:
    return _git(f"--git-dir={directory}", *arguments, credentials=Credentials(), timeout_s=10.0).strip()


def _git(*arguments: str, credentials: Credentials, timeout_s: float) -> str:
    with subprocess.Popen(  # noqa: S603 - no shell, every URL comes after `--`, and only http is allowed
        ["git", *arguments],  # noqa: S607 - the user's own git
        env=_environment(credentials),
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
            raise GitError("context deadline exceeded") from None
    if process.returncode:
        raise GitError(_reason(problem))
    return output


def _environment(credentials: Credentials) -> dict[str, str]:
    settings = {"credential.helper": ""}
    if credentials.username or credentials.password:
        pair = f"{credentials.username}:{credentials.password}"
        settings["http.extraHeader"] = f"Authorization: Basic {b64encode(pair.encode()).decode()}"
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C",
        "GIT_ALLOW_PROTOCOL": "http:https",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_COUNT": str(len(settings)),
    }
    for number, (key, value) in enumerate(settings.items()):
        environment |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return environment


def _reason(problem: str) -> str:
    """Translate git's message; it is not passed on, because it may contain secrets."""
    said = problem.lower()
    return next((reason for words, reason in _REASONS if words in said), "unexpected client error")

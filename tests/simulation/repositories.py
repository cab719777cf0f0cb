"""Git without processes: what the stand-ins learn from repositories, read from the disk or remembered.

The real git answers each question once; the answer is remembered by everything that it depends on. Repositories are
copied by links: git never writes into a file that exists, it replaces it.
"""

from __future__ import annotations

import copy
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import harbour.argocd.git as argocd_git
import harbour.jenkins.pipelines
from harbour import repository
from harbour.argocd.git import Chart, ChartError, Credentials, GitError
from harbour.gitlab.app import GitLab
from harbour.gitlab.model import Project
from harbour.jenkins.model import Build
from harbour.jenkins.steps import Outcome

find_with_git = argocd_git.find_chart
carry_out_with_git = harbour.jenkins.pipelines.carried_out


def refs(path: Path) -> dict[str, str]:
    """Return every ref and its commit, as `repository.refs` does."""
    packed = path / "packed-refs"
    if not path.exists():
        return {}
    lines = packed.read_text().splitlines() if packed.exists() else []
    found = {name: commit for commit, _, name in (line.partition(" ") for line in lines if line[:1] not in "#^")}
    for place, _, names in os.walk(path / "refs"):
        for name in names:
            file = Path(place, name)
            found[str(file.relative_to(path))] = file.read_text().strip()
    return found


def copy_repository(source: Path, target: Path) -> None:
    """Make `target` a copy of `source`, as `repository.copy` does."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, copy_function=_link)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # the first time: from another file system
        shutil.copy2(source, target)


class Git:
    """What Argo CD and Jenkins read over HTTP from this GitLab; each answer of the real git is remembered."""

    def __init__(self, gitlab: GitLab) -> None:
        self._gitlab = gitlab
        self._charts: dict[Any, Chart | ChartError] = {}
        self._outcomes: dict[Any, Outcome] = {}

    def _project(self, url: str, credentials: Credentials) -> Project:
        config = self._gitlab.config
        if (credentials.username, credentials.password) != (config.gitlab_user, config.gitlab_read_token):
            raise GitError("failed to list refs: authentication required: HTTP Basic: Access denied.\n")
        path = url.removeprefix(f"{self._gitlab.url}/").removesuffix(".git")
        project = self._gitlab.state.project_at(path) or self._gitlab.state.moved_project(path)
        if project is None or not self._gitlab.repository(project).exists():
            raise GitError("failed to list refs: repository not found")
        return project

    def listed(self, url: str, credentials: Credentials, timeout_s: float) -> dict[str, str]:  # noqa: ARG002 - git's
        found = refs(self._gitlab.repository(self._project(url, credentials)))
        return {"HEAD": found.get("refs/heads/main", ""), **found} if found else {}

    def find_chart(self, url: str, credentials: Credentials, *, revision: str, path: str, timeout_s: float) -> Chart:
        place = self._gitlab.repository(self._project(url, credentials))
        key = (tuple(sorted(refs(place).items())), revision, path)
        if key not in self._charts:
            self._charts[key] = self._read(place, revision, path, timeout_s)
        known = self._charts[key]
        if isinstance(known, ChartError):
            raise known
        return copy.deepcopy(known)

    def _read(self, place: Path, revision: str, path: str, timeout_s: float) -> Chart | ChartError:
        try:
            with local_urls():
                return find_with_git(str(place), Credentials(), revision=revision, path=path, timeout_s=timeout_s)
        except ChartError as error:
            return error

    def carried_out(self, build: Build, **options: Any) -> Outcome:
        """Run a pipeline as `pipelines.carried_out` does, once for each combination of what it is given."""
        given = asdict(build)
        for name in (*(each for each in given if each.endswith("_at")), "lines", "planned_s"):
            del given[name]
        key = (repr(given), options["script"], tuple(sorted(refs(self._place_of(build.repository)).items())))
        if key not in self._outcomes:
            self._outcomes[key] = self._run(build, options)
        return copy.deepcopy(self._outcomes[key])

    def _place_of(self, url: str) -> Path:
        project = self._gitlab.state.project_at(url.removeprefix(f"{self._gitlab.url}/").removesuffix(".git"))
        return self._gitlab.repository(project) if project else Path("/nowhere")

    def _run(self, build: Build, options: dict[str, Any]) -> Outcome:
        real = harbour.jenkins.workspace._git  # noqa: SLF001 - the one door to git

        def translated(*arguments: str, place: Path | None = None, account: Any = None) -> str:
            local = [
                str(self._place_of(each)) if each.startswith(self._gitlab.url) else each.replace("--depth=1", "--quiet")
                for each in arguments
            ]
            return real(*local, place=place, account=account)

        harbour.jenkins.workspace._git = translated  # noqa: SLF001 - as above
        try:
            with local_urls():
                return carry_out_with_git(build, **options)
        finally:
            harbour.jenkins.workspace._git = real  # noqa: SLF001 - as above


class local_urls:  # noqa: N801 - used as a function
    """Let git read from the disk meanwhile."""

    def __enter__(self) -> None:
        import harbour.git_client as client

        self._modules = [argocd_git, harbour.jenkins.workspace, client]
        self._real: Callable[..., dict[str, str]] = client.environment

        def environment(username: str = "", password: str = "") -> dict[str, str]:
            return {**self._real(username, password), "GIT_ALLOW_PROTOCOL": "file", **repository.GIT_ENVIRONMENT}

        for module in self._modules:
            module.environment = environment  # type: ignore[attr-defined]

    def __exit__(self, *_: object) -> None:
        for module in self._modules:
            module.environment = self._real  # type: ignore[attr-defined]

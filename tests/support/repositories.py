"""Commits to a repository of the harbour's GitLab, as a person with a clone makes them."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from harbour.gitlab.app import GitLab

AUTHOR = ("-c", "user.name=t", "-c", "user.email=t@example.org")


def commit(gitlab: GitLab, project: str, files: Mapping[str, str | None], *, branch: str = "main") -> str:
    """Commit files, None removes one, and return the commit; a branch that is not there begins at the default one."""
    with tempfile.TemporaryDirectory() as place:
        bare = str(repository_of(gitlab, project))
        git("clone", "--quiet", bare, place)
        git(
            "checkout",
            "--quiet",
            "-B",
            branch,
            *([f"origin/{branch}"] if branch in branches(gitlab, project) else []),
            at=place,
        )
        for name, text in files.items():
            file = Path(place, name)
            file.unlink() if text is None else file.write_text(text)
        git("add", "--all", at=place)
        git(*AUTHOR, "commit", "--quiet", "--message", "Change it", at=place)
        git("push", "--quiet", bare, f"HEAD:{branch}", at=place)
        return git("rev-parse", "HEAD", at=place)


def tip(gitlab: GitLab, project: str, branch: str = "main") -> str:
    return git("rev-parse", f"refs/heads/{branch}", at=str(repository_of(gitlab, project)))


def show(gitlab: GitLab, project: str, file: str, branch: str = "main") -> str:
    return git("show", f"{branch}:{file}", at=str(repository_of(gitlab, project)))


def branches(gitlab: GitLab, project: str) -> list[str]:
    listed = git("for-each-ref", "--format=%(refname:short)", "refs/heads", at=str(repository_of(gitlab, project)))
    return listed.split()


def repository_of(gitlab: GitLab, project: str) -> Path:
    found = gitlab.state.project_at(project)
    assert found is not None, project
    return gitlab.repository(found)


def git(*arguments: str, at: str | None = None) -> str:
    done = subprocess.run(["git", *arguments], cwd=at, check=True, capture_output=True, text=True)
    return done.stdout.strip()

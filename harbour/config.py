"""Configuration of a harbour."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class HarbourConfig:
    """The configuration of one harbour; tokens have no default, port 0 means any free one.

    `root` is its own directory: git repositories and saved state. `gitlab_user` with `gitlab_read_token` may clone
    every project and nothing else. `gitlab_version` decides how projects are deleted, at once up to 17;
    `gitlab_immediate_deletion` is the setting that allows it since 18.5. `*_s` are the seconds of slow operations:
    a fork's import, the wait in the Jenkins queue, a build, an Argo CD sync.
    """

    root: Path
    host: str = "127.0.0.1"
    gitlab_port: int = 0
    jenkins_port: int = 0
    argocd_port: int = 0
    elasticsearch_port: int = 0
    control_port: int = 0
    gitlab_token: str = field(repr=False)
    gitlab_user: str
    gitlab_read_token: str = field(repr=False)
    jenkins_user: str
    jenkins_token: str = field(repr=False)
    argocd_token: str = field(repr=False)
    elasticsearch_user: str
    elasticsearch_password: str = field(repr=False)
    gitlab_edition: Literal["ce", "ee"] = "ce"
    gitlab_version: str = "18.5.1"
    gitlab_immediate_deletion: bool = True
    fork_s: float = 0.2
    queue_s: float = 0.1
    build_s: float = 0.5
    sync_s: float = 0.3
    teams: tuple[str, ...] = ("dev", "ops")
    types: tuple[str, ...] = ("Spring", "Django", "Flask")

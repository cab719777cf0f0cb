"""The configuration of a harbour, and the table of its stand-ins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class HarbourConfig:
    """The configuration of one harbour; tokens have no default, port 0 means any free one.

    `root` is its own directory: git repositories and saved state. `gitlab_user` with `gitlab_read_token` may clone
    every project and nothing else. `gitlab_version` decides how projects are deleted, at once up to 17;
    `gitlab_immediate_deletion` is the setting that allows it since 18.5. `*_s` are the seconds of slow operations: a
    fork's import, the wait in the Jenkins queue, a build, an Argo CD sync. `team_namespaces` is the pattern of the
    namespaces that the project of each team allows. `template_branch` is the default branch of the templates, and of
    what is forked from them. `images` are in the registry from the start. `empty` upstreams are as after their own
    installation: their first administrator, with the credential given here, and nothing that Slipway needs
    (docs/install-upstreams.md).
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
    team_namespaces: str = "{team}-*"
    types: tuple[str, ...] = ("Spring", "Django", "Flask")
    template_branch: str = "main"
    images: tuple[str, ...] = ()
    empty: bool = False


@dataclass(frozen=True, kw_only=True)
class StandIn:
    """One stand-in. `python -m harbour`, the embedded stack and the harbour itself loop over them.

    `offset` is that of its port from the harbour's first one, `url` the setting of its address. `credentials` names
    the field of `HarbourConfig` for each of its settings; `users` has the usual values of those that are no secrets.
    """

    name: str
    label: str
    offset: int
    url: str
    credentials: Mapping[str, str]
    users: Mapping[str, str] = field(default_factory=dict)

    @property
    def port(self) -> str:
        """Return the field of `HarbourConfig` that holds its port."""
        return f"{self.name}_port"


STAND_INS = (
    StandIn(
        name="gitlab",
        label="GitLab",
        offset=0,
        url="GITLAB_URL",
        credentials={
            "GITLAB_TOKEN": "gitlab_token",
            "GITLAB_READ_USER": "gitlab_user",
            "GITLAB_READ_TOKEN": "gitlab_read_token",
        },
        users={"GITLAB_READ_USER": "cloner"},
    ),
    StandIn(
        name="jenkins",
        label="Jenkins",
        offset=1,
        url="JENKINS_URL",
        credentials={"JENKINS_AUTH_ID": "jenkins_user", "JENKINS_AUTH_TOKEN": "jenkins_token"},
        users={"JENKINS_AUTH_ID": "automation"},
    ),
    StandIn(
        name="argocd",
        label="Argo CD",
        offset=2,
        url="ARGO_URL",
        credentials={"ARGO_TOKEN": "argocd_token"},
    ),
    StandIn(
        name="elasticsearch",
        label="Elasticsearch",
        offset=3,
        url="KIBANA_URL",
        credentials={"KIBANA_USER": "elasticsearch_user", "KIBANA_PWD": "elasticsearch_password"},
        users={"KIBANA_USER": "elastic"},
    ),
)
CONTROL_OFFSET = 4
PORT_COUNT = max(CONTROL_OFFSET, *(each.offset for each in STAND_INS)) + 1

CREDENTIALS = {setting: name for each in STAND_INS for setting, name in each.credentials.items()}
USERS = {setting: user for each in STAND_INS for setting, user in each.users.items()}

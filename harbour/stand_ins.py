"""The stand-ins of a harbour, in one table: the settings with which Slipway uses each of them.

`python -m harbour`, the embedded stack and the harbour itself loop over it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class StandIn:
    """One stand-in.

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

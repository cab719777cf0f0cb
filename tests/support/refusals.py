"""The situations in which an upstream refuses our account, as rows, and a situation that begins at a chosen call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harbour import situations
from harbour.faults import Call, Fault
from harbour.server import Service

NO_GIT = r"^(?!.*\.git/)"  # what Argo CD fetches from GitLab is no call of ours
Row = Mapping[str, Any]

_IN_FRONT: tuple[Row, ...] = ({"front_proxy": "401"}, {"front_proxy": "403"}, {"front_proxy": "log-in"})
PASSING: Mapping[str, tuple[Row, ...]] = {
    "gitlab": (
        {"is_read_only": True},
        {"organisation": "maintenance"},
        {"organisation": "unavailable"},
        {"token_problem": "expired"},
        {"token_problem": "revoked"},
        *_IN_FRONT,
    ),
    "jenkins": (
        {"start_up": "getting ready"},
        {"start_up": "before users"},
        {"start_up": "before rights"},
        {"is_token_revoked": True},
        *_IN_FRONT,
    ),
    "argocd": ({"is_kubernetes_away": True}, {"token_problem": "token is expired"}, *_IN_FRONT),
    "elasticsearch": ({"is_security_index_away": True}, {"is_password_changed": True}, *_IN_FRONT),
}
LACKING: Mapping[str, Row] = {
    "gitlab": {"token_scopes": ["read_api"]},
    "jenkins": {"our_permissions": ["hudson.model.Hudson.Read"]},
    "argocd": {
        "denied_rights": [f"applications/{right}" for right in ("get", "create", "update", "delete", "sync")]
        + [f"repositories/{right}" for right in ("get", "create", "update", "delete")]
    },
    "elasticsearch": {"our_privileges": ["monitor"]},
}


@dataclass(kw_only=True)
class Beginning(Fault):
    """A fault that does nothing but bring the service into a situation, just before the call it is counted to."""

    kind: str = "situation"
    path: str = NO_GIT
    times: int | None = 1
    service: Service = field(repr=False)
    row: Row

    def matches(self, method: str, path: str, user_agent: str = "") -> bool:
        if super().matches(method, path, user_agent):
            situations.bring(self.service, self.row)
        return False


def accepted_writes(calls: list[Call]) -> list[str]:
    """Return the changes that the stand-ins accepted; a proxy's redirect to its log-in page is none."""
    return [
        f"{call.method} {call.path}"
        for call in calls
        if call.is_write and call.status is not None and call.status < 400 and call.fault != "front_proxy"
    ]

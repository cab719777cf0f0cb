"""The Elasticsearch stand-in: initial users and roles, persistence.

state ── users · roles · role_mappings

Situations: the index of the users away (`is_security_index_away`), our user's password changed
(`is_password_changed`), the cluster privileges of our user (`our_privileges`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from werkzeug.wrappers import Request, Response

from harbour import situations
from harbour.elasticsearch.role_mappings import RoleMappings
from harbour.elasticsearch.roles import Roles
from harbour.elasticsearch.state import as_json
from harbour.elasticsearch.users import Users
from harbour.passwords import digest
from harbour.server import route
from harbour.situations import Situation

RESERVED_USERS = {
    "elastic": "superuser",
    "kibana_system": "kibana_system",
    "kibana": "kibana_system",
    "logstash_system": "logstash_system",
    "beats_system": "beats_system",
    "apm_system": "apm_system",
    "remote_monitoring_user": "remote_monitoring_agent",
}
ABOUT = {
    "name": "harbour",
    "cluster_name": "harbour",
    "cluster_uuid": "aGFyYm91ci1lbGFzdGljLTE",
    "version": {
        "number": "9.0.3",
        "build_flavor": "default",
        "build_type": "docker",
        "build_snapshot": False,
        "lucene_version": "10.1.0",
        "minimum_wire_compatibility_version": "8.18.0",
        "minimum_index_compatibility_version": "8.0.0",
    },
    "tagline": "You Know, for Search",
}


class Elasticsearch(Users, Roles, RoleMappings):
    """Elasticsearch 9.0 with security on: the native realm, its roles and Kibana's privileges."""

    name = "elasticsearch"
    situations: ClassVar[Mapping[str, Situation]] = {
        "is_security_index_away": situations.flag(),
        "is_password_changed": situations.flag(),
        "our_privileges": situations.texts("all"),
        **situations.in_front(),
    }

    def prepare(self) -> None:
        """Create reserved users, the configured administrator and the teams' roles; existing ones stay."""
        for username, role in RESERVED_USERS.items():
            self.users.setdefault(username, self.new_user(username, [role], {"_reserved": True}))
        administrator = self.config.elasticsearch_user
        self.users.setdefault(administrator, self.new_user(administrator, ["superuser"], {}))
        self.accept_password()
        for team in () if self.config.empty else self.config.teams:
            self.roles.setdefault(team, team_role(team))

    def accept_password(self) -> None:
        """Let our user log in with the password of the configuration."""
        name = self.config.elasticsearch_user
        self.users[name]["digest"] = digest(self.config.elasticsearch_password, owner=name)

    def dump(self) -> dict[str, Any]:
        return {"users": self.users, "roles": self.roles}

    def load(self, state: dict[str, Any]) -> None:
        self.users, self.roles = state["users"], state["roles"]

    @route("GET", "/")
    def about(self, _request: Request) -> Response:
        return as_json(ABOUT)


def team_role(team: str) -> dict[str, Any]:
    """Return a role that sees one team's space in Kibana and reads its logs."""
    return {
        "cluster": [],
        "indices": [
            {
                "names": [f"logs-{team}-*"],
                "privileges": ["read", "view_index_metadata"],
                "allow_restricted_indices": False,
            }
        ],
        "applications": [
            {"application": "kibana-.kibana", "privileges": ["space_read"], "resources": [f"space:{team}"]}
        ],
        "run_as": [],
        "metadata": {},
        "transient_metadata": {"enabled": True},
        "description": f"What the {team} team may see.",
    }

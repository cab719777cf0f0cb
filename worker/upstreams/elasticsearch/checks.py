"""The doctor's checks of Elasticsearch: the right to create Kibana's users, and the teams' roles.

Source: Elasticsearch security API, "Authenticate", "Check user privileges", "Get roles".
"""

from __future__ import annotations

from functools import partial
from typing import Any

from common.config.catalog import Catalog
from common.config.settings import WorkerSettings
from worker.upstreams.check import Check, CheckFailedError, CheckInconclusiveError
from worker.upstreams.elasticsearch.identity import is_elasticsearch, is_kibana, is_opensearch
from worker.upstreams.http import Reply
from worker.upstreams.probe import Probe, at_least, json_object

OLDEST = (7,)  # before it the security API was elsewhere
PRIVILEGE = "manage_security"
TAGLINE = "You Know, for Search"


class ElasticsearchChecks:
    def __init__(self, probe: Probe, settings: WorkerSettings, catalog: Catalog) -> None:
        self._probe = probe
        self._login = settings.elasticsearch_user
        self._has_people = catalog.accounts.kibana == "ours"
        self._roles = sorted({team.kibana_role for team in catalog.teams.values()})

    def all(self) -> tuple[Check, ...]:
        return (*self._access(), *self._team_roles()) if self._has_people else ()

    def _access(self) -> list[Check]:
        return [
            Check(
                name="answers",
                question="Does Elasticsearch answer at KIBANA_URL?",
                remedy="start Elasticsearch, or correct KIBANA_URL",
                run=self._answers,
            ),
            Check(
                name="security",
                question="Is its security enabled?",
                remedy="in elasticsearch.yml: xpack.security.enabled: true; restart Elasticsearch",
                run=self._security,
                needs=("answers",),
            ),
            Check(
                name="user",
                question="Does Elasticsearch accept KIBANA_USER and KIBANA_PWD?",
                remedy=f"in Kibana: Stack Management → Users → {self._login} → Change password; set KIBANA_PWD to it",
                run=self._user,
                needs=("security",),
            ),
            Check(
                name="version",
                question="Is it a version that Slipway supports?",
                remedy="upgrade Elasticsearch",
                run=self._version,
                needs=("user",),
            ),
            Check(
                name=f"privilege {PRIVILEGE}",
                question="May our user create users?",
                remedy=f"in Kibana: Stack Management → Roles → Create role, cluster privilege {PRIVILEGE}; assign it "
                f"to {self._login} under Users; or set KIBANA_USER to a user that has it",
                run=self._privilege,
                needs=("user",),
            ),
            Check(
                name="native users",
                question="Does Elasticsearch have a native user store?",
                remedy="in elasticsearch.yml: leave the native realm enabled; the index .security must exist",
                run=self._native_users,
                needs=(f"privilege {PRIVILEGE}",),
            ),
        ]

    def _team_roles(self) -> list[Check]:
        return [
            Check(
                name=f"role {role}",
                question="Does the team's role exist?",
                remedy=f"in Kibana: Stack Management → Roles → Create role, name {role}, with the team's indices and "
                "its space; or correct kibana_role in the catalog (CATALOG_FILE)",
                run=partial(self._role, role),
                needs=(f"privilege {PRIVILEGE}",),
            )
            for role in self._roles
        ]

    def _answers(self) -> str:
        reply = self._probe.get("_security", "_authenticate")
        if is_kibana(reply):
            raise CheckFailedError(
                f"Kibana answers at {self._probe.url}, not Elasticsearch",
                "set KIBANA_URL to Elasticsearch, usually port 9200: Kibana's users live there",
            )
        if not is_elasticsearch(reply) and (is_opensearch(reply) or is_opensearch(self._probe.get())):
            raise CheckFailedError(
                f"OpenSearch answers at {self._probe.url}: its users have another API, which Slipway does not support",
                'leave its accounts to others: kibana = "none" in [accounts] of the catalog (CATALOG_FILE); or set '
                "KIBANA_URL to an Elasticsearch",
            )
        if not is_elasticsearch(reply) and not _has_key(reply, "username") and not _has_key(reply, "error"):
            raise self._probe.not_this_upstream(reply)
        return self._probe.url

    def _security(self) -> str:
        reply = self._probe.get("_security", "_authenticate")
        if reply.status in (400, 405) or "Security is not enabled" in reply.text:  # the call does not exist
            raise CheckFailedError("Elasticsearch has no users, because its security is off")
        return "on"

    def _user(self) -> str:
        reply = self._probe.get("_security", "_authenticate")
        if reply.status == 401:
            raise CheckFailedError(f"Elasticsearch refuses the user {self._login} with this password")
        user = json_object(self._probe.expect(reply, "reading our user"))
        return f"{user.get('username')}, of the realm {_object(user, 'authentication_realm').get('type', 'unknown')}"

    def _version(self) -> str:
        reply = self._probe.get()
        if reply.status == 403:
            raise CheckInconclusiveError(
                f"{self._login} lacks the cluster privilege monitor, which only this check needs"
            )
        about = json_object(self._probe.expect(reply, "reading its version"))
        if about.get("tagline") != TAGLINE:
            raise self._probe.not_this_upstream(reply)
        return at_least("Elasticsearch", str(_object(about, "version").get("number", "0")), OLDEST)

    def _privilege(self) -> str:
        """Ask with the body of a GET: a POST of the same only reads, too, but our connection refuses every POST."""
        reply = self._probe.get("_security", "user", "_has_privileges", json={"cluster": [PRIVILEGE]})
        if reply.status == 400:
            raise CheckInconclusiveError(
                "the request arrived without its body: a proxy in between drops the bodies of GET requests"
            )
        held = _object(json_object(self._probe.expect(reply, "reading our privileges")), "cluster")
        if held.get(PRIVILEGE) is not True:
            raise CheckFailedError(f"{self._login} lacks the cluster privilege {PRIVILEGE}")
        return "held"

    def _native_users(self) -> str:
        reply = self._probe.get("_security", "user", self._login)
        if reply.status not in (200, 404):  # a user of another realm is a 404
            raise self._probe.unexpected(reply, "reading its users")
        return "available"

    def _role(self, role: str) -> str:
        reply = self._probe.get("_security", "role", role)
        if reply.status == 404:
            raise CheckFailedError("Elasticsearch has no such role: people could log in to Kibana and see nothing")
        if role not in json_object(self._probe.expect(reply, "reading the role")):
            raise CheckFailedError("Elasticsearch has no such role: people could log in to Kibana and see nothing")
        return "exists"


def _has_key(reply: Reply, key: str) -> bool:
    body = json_object(reply)
    if key == "error":  # its own errors are objects with a type, or name the method and the path
        error = body.get("error")
        return (isinstance(error, dict) and "type" in error) or "no handler found for uri" in str(error)
    return key in body


def _object(holder: dict[str, Any], key: str) -> dict[str, Any]:
    value = holder.get(key)
    return value if isinstance(value, dict) else {}

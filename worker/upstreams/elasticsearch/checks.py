"""Does Elasticsearch let us make Kibana's users, and has it the teams' roles?

Source: Elasticsearch security API, "Authenticate", "Check user privileges", "Get roles".
"""

from __future__ import annotations

from functools import partial
from typing import Any

from common.config.catalog import Catalog
from common.config.settings import WorkerSettings
from worker.upstreams.check import Check, CheckFailedError, Untold
from worker.upstreams.http import Reply
from worker.upstreams.probe import Probe, at_least, json_object

OLDEST = (7,)  # before it the security API was elsewhere
PRIVILEGE = "manage_security"
TAGLINE = "You Know, for Search"


class ElasticsearchChecks:
    def __init__(self, way: Probe, settings: WorkerSettings, catalog: Catalog) -> None:
        self._way = way
        self._login = settings.elasticsearch_user
        self._roles = sorted({team.kibana_role for team in catalog.teams.values()})

    def table(self) -> tuple[Check, ...]:
        return (*self._about_us(), *self._about_roles())

    def _about_us(self) -> list[Check]:
        return [
            Check(
                name="answers",
                question="Does Elasticsearch answer at KIBANA_URL?",
                remedy="start Elasticsearch, or correct KIBANA_URL",
                look=self._answers,
            ),
            Check(
                name="security",
                question="Is its security on?",
                remedy="in elasticsearch.yml: xpack.security.enabled: true; restart Elasticsearch",
                look=self._security,
                needs=("answers",),
            ),
            Check(
                name="user",
                question="Does Elasticsearch accept KIBANA_USER and KIBANA_PWD?",
                remedy=f"in Kibana: Stack Management → Users → {self._login} → Change password; put it in KIBANA_PWD",
                look=self._user,
                needs=("security",),
            ),
            Check(
                name="version",
                question="Is it a version that we know?",
                remedy="upgrade Elasticsearch",
                look=self._version,
                needs=("user",),
            ),
            Check(
                name=f"privilege {PRIVILEGE}",
                question="May our user make users?",
                remedy=f"in Kibana: Stack Management → Roles → Create role, cluster privilege {PRIVILEGE}; give it to "
                f"{self._login} under Users; or set KIBANA_USER to a user that has it",
                look=self._privilege,
                needs=("user",),
            ),
            Check(
                name="native users",
                question="Does Elasticsearch keep users of its own?",
                remedy="in elasticsearch.yml: leave the native realm enabled; see that the index .security is there",
                look=self._native_users,
                needs=(f"privilege {PRIVILEGE}",),
            ),
        ]

    def _about_roles(self) -> list[Check]:
        return [
            Check(
                name=f"role {role}",
                question="Is the team's role there?",
                remedy=f"in Kibana: Stack Management → Roles → Create role, name {role}, with the team's indices and "
                "its space; or correct kibana_role in the catalog (CATALOG_FILE)",
                look=partial(self._role, role),
                needs=(f"privilege {PRIVILEGE}",),
            )
            for role in self._roles
        ]

    def _answers(self) -> str:
        reply = self._way.get("_security", "_authenticate")
        if _is_kibana(reply):
            raise CheckFailedError(
                f"Kibana answers at {self._way.url}, not Elasticsearch",
                "set KIBANA_URL to Elasticsearch, usually port 9200: Kibana's users live there",
            )
        is_it = reply.headers.get("X-Elastic-Product") == "Elasticsearch"  # since 7.14
        if not is_it and not _says(reply, "username") and not _says(reply, "error"):
            raise self._way.stranger(reply)
        return self._way.url

    def _security(self) -> str:
        reply = self._way.get("_security", "_authenticate")
        if reply.status in (400, 405) or "Security is not enabled" in reply.text:  # the call is not even known
            raise CheckFailedError("Elasticsearch knows no users: its security is off")
        return "on"

    def _user(self) -> str:
        reply = self._way.get("_security", "_authenticate")
        if reply.status == 401:
            raise CheckFailedError(f"Elasticsearch refuses the user {self._login} with this password")
        user = json_object(self._way.expect(reply, "asking who we are"))
        return f"{user.get('username')}, of the realm {_object(user, 'authentication_realm').get('type', 'unknown')}"

    def _version(self) -> str:
        reply = self._way.get()
        if reply.status == 403:
            raise Untold(f"{self._login} lacks the cluster privilege monitor, which only this check needs")
        about = json_object(self._way.expect(reply, "looking at its version"))
        if about.get("tagline") != TAGLINE:
            raise self._way.stranger(reply)
        return at_least("Elasticsearch", str(_object(about, "version").get("number", "0")), OLDEST)

    def _privilege(self) -> str:
        """Ask with the body of a GET: a POST of the same is a read, too, but a way that only reads has none."""
        reply = self._way.get("_security", "user", "_has_privileges", json={"cluster": [PRIVILEGE]})
        if reply.status == 400:
            raise Untold("the question did not arrive whole: something between drops the bodies of reads")
        held = _object(json_object(self._way.expect(reply, "asking what we may do")), "cluster")
        if held.get(PRIVILEGE) is not True:
            raise CheckFailedError(f"{self._login} lacks the cluster privilege {PRIVILEGE}")
        return "held"

    def _native_users(self) -> str:
        reply = self._way.get("_security", "user", self._login)
        if reply.status not in (200, 404):  # a user of another realm is none of these
            raise self._way.unexpected(reply, "reading its users")
        return "it does"

    def _role(self, role: str) -> str:
        reply = self._way.get("_security", "role", role)
        if reply.status == 404:
            raise CheckFailedError("Elasticsearch has no such role: people would get in and see nothing")
        if role not in json_object(self._way.expect(reply, "looking for the role")):
            raise CheckFailedError("Elasticsearch has no such role: people would get in and see nothing")
        return "there"


def _is_kibana(reply: Reply) -> bool:
    return any(name.lower().startswith("kbn-") for name in reply.headers)


def _says(reply: Reply, key: str) -> bool:
    body = json_object(reply)
    if key == "error":  # its own errors are objects with a type, or name the method and the path
        error = body.get("error")
        return (isinstance(error, dict) and "type" in error) or "no handler found for uri" in str(error)
    return key in body


def _object(holder: dict[str, Any], key: str) -> dict[str, Any]:
    value = holder.get(key)
    return value if isinstance(value, dict) else {}

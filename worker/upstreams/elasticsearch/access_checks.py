"""The doctor's checks of our user on Elasticsearch, and of its privilege. `standing` asks them, too.

Source: Elasticsearch security API, "Authenticate", "Check user privileges".
"""

from __future__ import annotations

from typing import Any

from worker.upstreams.check import Check, CheckFailedError, CheckInconclusiveError
from worker.upstreams.elasticsearch.identity import is_elasticsearch, is_kibana, is_opensearch
from worker.upstreams.probe import Probe, at_least, json_object
from worker.upstreams.replies import Reply

OLDEST = (7,)  # before it the security API was elsewhere
PRIVILEGE = "manage_security"
TAGLINE = "You Know, for Search"


def of(probe: Probe, *, login: str) -> dict[str, Check]:
    """Return the checks by their names; `login` is the name of our user."""
    return {check.name: check for check in _Access(probe, login).all()}


class _Access:
    def __init__(self, probe: Probe, login: str) -> None:
        self._probe = probe
        self._login = login

    def all(self) -> list[Check]:
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
                remedy=f"in Kibana: Stack Management → Users → {self._login} → Change password; set KIBANA_PWD to it. "
                "If the password is right, wait: after a restart Elasticsearch knows nobody until its index .security "
                "is there; if that takes long, read its log",
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


def _has_key(reply: Reply, key: str) -> bool:
    body = json_object(reply)
    if key == "error":  # its own errors are objects with a type, or name the method and the path
        error = body.get("error")
        return (isinstance(error, dict) and "type" in error) or "no handler found for uri" in str(error)
    return key in body


def _object(holder: dict[str, Any], key: str) -> dict[str, Any]:
    value = holder.get(key)
    return value if isinstance(value, dict) else {}

"""Roles and privileges of Elasticsearch."""

from __future__ import annotations

from typing import Any

from werkzeug.wrappers import Request, Response

from harbour.elasticsearch.state import ElasticsearchBase, as_json, invalid_request, json_object, not_allowed
from harbour.elasticsearch.users import is_name
from harbour.server import route

ROLE = "/_security/role/:name"
FIELDS = frozenset(
    ["cluster", "indices", "applications", "run_as", "global", "metadata", "transient_metadata", "description"]
)
LONGEST_DESCRIPTION = 1000
RESERVED_ROLES = (
    "superuser viewer editor kibana_admin kibana_system kibana_user monitoring_user logstash_system beats_system "
    "apm_system remote_monitoring_agent remote_monitoring_collector reporting_user transport_client"
)
KIBANA = "kibana-.kibana"
KIBANA_PRIVILEGES = (
    "all read space_all space_read feature_dashboard_v2.all feature_dashboard_v2.read feature_discover_v2.all "
    "feature_discover_v2.read feature_visualize_v2.all feature_visualize_v2.read"
)
HAS_PRIVILEGES = "/_security/user/_has_privileges"


class Roles(ElasticsearchBase):
    """`/_security/role`, `/privilege` and `_has_privileges`: a PUT replaces the whole role."""

    @route("GET", "/_security/role")
    def list_roles(self, _request: Request) -> Response:
        return as_json(self.roles | {name: _reserved_role() for name in RESERVED_ROLES.split()})

    @route("GET", ROLE)
    def get_role(self, _request: Request, name: str) -> Response:
        known = self.roles | {reserved: _reserved_role() for reserved in RESERVED_ROLES.split()}
        found = {each: known[each] for each in name.split(",") if each in known}
        return as_json(found, 200 if found else 404)

    @route("PUT", ROLE)
    def put_role(self, request: Request, name: str) -> Response:
        body = json_object(request, FIELDS)
        problems = [] if is_name(name) else [f"invalid role name [{name}]"]
        if any(key.startswith("_") for key in body.get("metadata") or {}):
            problems.append("metadata keys may not start with [_]")
        if len(body.get("description") or "") > LONGEST_DESCRIPTION:
            problems.append(f"Role description must be less than {LONGEST_DESCRIPTION} characters.")
        if problems:
            invalid_request(*problems)
        if name in RESERVED_ROLES.split():
            not_allowed(f"Role [{name}] is reserved and may not be used.")
        created = name not in self.roles
        self.roles[name] = _empty_role() | body
        return as_json({"role": {"created": created}})

    @route("POST", ROLE)
    def post_role(self, request: Request, name: str) -> Response:
        return self.put_role(request, name)

    @route("DELETE", ROLE)
    def delete_role(self, _request: Request, name: str) -> Response:
        if name in RESERVED_ROLES.split():
            not_allowed(f"role [{name}] is reserved and cannot be deleted")
        found = self.roles.pop(name, None) is not None
        return as_json({"found": found}, 200 if found else 404)

    @route("GET", "/_security/privilege/:application")
    def get_privileges(self, _request: Request, application: str) -> Response:
        if application != KIBANA:
            return as_json({}, 404)
        listed = {
            name: {"application": KIBANA, "name": name, "actions": [f"{name}:"], "metadata": {}}
            for name in KIBANA_PRIVILEGES.split()
        }
        return as_json({KIBANA: listed})

    @route("POST", HAS_PRIVILEGES)
    def has_privileges(self, request: Request) -> Response:
        """Answer about cluster privileges; only superusers hold index and application privileges."""
        username = self.authenticated(request)
        asked = json_object(request, frozenset(["cluster", "index", "application"]))
        everything = self.may(username, "all")
        cluster = {name: self.may(username, name) for name in asked.get("cluster") or ()}
        index = _resources(asked.get("index") or (), "names", everything)
        application = {
            entry["application"]: _resources([entry], "resources", everything)
            for entry in asked.get("application") or ()
        }
        asks_more = bool(index or application)
        return as_json(
            {
                "username": username,
                "has_all_requested": all(cluster.values()) and (everything or not asks_more),
                "cluster": cluster,
                "index": index,
                "application": application,
            }
        )

    @route("GET", HAS_PRIVILEGES)
    def get_has_privileges(self, request: Request) -> Response:
        return self.has_privileges(request)


def _resources(entries: Any, key: str, held: bool) -> dict[str, dict[str, bool]]:
    return {resource: dict.fromkeys(entry["privileges"], held) for entry in entries for resource in entry[key]}


def _empty_role() -> dict[str, Any]:
    empty: dict[str, Any] = {key: [] for key in ("cluster", "indices", "applications", "run_as")}
    return empty | {"metadata": {}, "transient_metadata": {"enabled": True}}


def _reserved_role() -> dict[str, Any]:
    return _empty_role() | {"metadata": {"_reserved": True}}

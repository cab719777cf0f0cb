"""Role mappings of Elasticsearch, its API keys, and the cluster's health, as official clients use them."""

from __future__ import annotations

import base64
from typing import Any
from uuid import uuid4

from werkzeug.wrappers import Request, Response

from harbour.elasticsearch.state import ElasticsearchBase, as_json, invalid_request, json_object
from harbour.server import route

MAPPING = "/_security/role_mapping/:name"
MAPPING_FIELDS = frozenset(["enabled", "roles", "role_templates", "rules", "metadata"])
KEY_FIELDS = frozenset(["name", "expiration", "role_descriptors", "metadata"])
HEALTH = {
    "cluster_name": "harbour", "status": "green", "timed_out": False, "number_of_nodes": 1, "number_of_data_nodes": 1,
    "active_primary_shards": 1, "active_shards": 1, "relocating_shards": 0, "initializing_shards": 0,
    "unassigned_shards": 0, "unassigned_primary_shards": 0, "delayed_unassigned_shards": 0,
    "number_of_pending_tasks": 0, "number_of_in_flight_fetch": 0, "task_max_waiting_in_queue_millis": 0,
    "active_shards_percent_as_number": 100.0,
}  # fmt: skip


class RoleMappings(ElasticsearchBase):
    """`/_security/role_mapping`, `/_security/api_key` and `/_cluster/health`; kept while the harbour runs."""

    @route("GET", "/_security/role_mapping")
    def list_mappings(self, _request: Request) -> Response:
        return as_json(self.role_mappings)

    @route("GET", MAPPING)
    def get_mapping(self, _request: Request, name: str) -> Response:
        found = {each: self.role_mappings[each] for each in name.split(",") if each in self.role_mappings}
        return as_json(found, 200 if found else 404)

    @route("PUT", MAPPING)
    def put_mapping(self, request: Request, name: str) -> Response:
        body = json_object(request, MAPPING_FIELDS)
        problems = [] if body.get("rules") else ["role-mapping rules are missing"]
        if not body.get("roles") and not body.get("role_templates"):
            problems.append("role-mapping roles or role-templates are missing")
        if problems:
            invalid_request(*problems)
        created = name not in self.role_mappings
        self.role_mappings[name] = {"enabled": True, "roles": [], "metadata": {}} | body
        return as_json({"role_mapping": {"created": created}})

    @route("POST", MAPPING)
    def post_mapping(self, request: Request, name: str) -> Response:
        return self.put_mapping(request, name)

    @route("DELETE", MAPPING)
    def delete_mapping(self, _request: Request, name: str) -> Response:
        found = self.role_mappings.pop(name, None) is not None
        return as_json({"found": found}, 200 if found else 404)

    @route("PUT", "/_security/api_key")
    def create_key(self, request: Request) -> Response:
        body = json_object(request, KEY_FIELDS)
        if not body.get("name"):
            invalid_request("api key name is required")
        secret, owner = uuid4().hex, self.authenticated(request)
        key: dict[str, Any] = {"id": uuid4().hex[:20], "name": body["name"], "invalidated": False}
        shown = {"username": owner, "realm": "default_native", "realm_type": "native"}
        self.api_keys[key["id"]] = key | shown | {"metadata": body.get("metadata", {})}
        self.key_secrets[key["id"]] = (secret, self.roles_of(owner))
        encoded = base64.b64encode(f"{key['id']}:{secret}".encode()).decode()
        return as_json({"id": key["id"], "name": key["name"], "api_key": secret, "encoded": encoded})

    @route("POST", "/_security/api_key")
    def create_key_too(self, request: Request) -> Response:
        return self.create_key(request)

    @route("GET", "/_security/api_key")
    def list_keys(self, request: Request) -> Response:
        wanted = {name: request.args[name] for name in ("id", "name", "username") if name in request.args}
        rows = [row for row in self.api_keys.values() if all(row[name] == value for name, value in wanted.items())]
        return as_json({"api_keys": rows})

    @route("DELETE", "/_security/api_key")
    def invalidate_keys(self, request: Request) -> Response:
        body = json_object(request, frozenset(["ids", "id", "name", "owner", "realm_name", "username"]))
        if not body:
            invalid_request("One of [api key id, api key name, username, realm name] must be specified")
        ids = [*body.get("ids", ()), *filter(None, [body.get("id")])]
        rows = [
            row
            for row in self.api_keys.values()
            if row["id"] in ids or row["name"] == body.get("name") or row["username"] == body.get("username")
        ]
        done = [row["id"] for row in rows if not row["invalidated"]]
        before = [row["id"] for row in rows if row["invalidated"]]
        for key_id in done:
            self.api_keys[key_id]["invalidated"] = True
        return as_json({"invalidated_api_keys": done, "previously_invalidated_api_keys": before, "error_count": 0})

    @route("GET", "/_cluster/health")
    def health(self, _request: Request) -> Response:
        return as_json(HEALTH)

"""The doctor's checks of Elasticsearch: its own users, the teams' roles, and all others in their order.

Source: Elasticsearch security API, "Get roles".
"""

from __future__ import annotations

from functools import partial

from common.config.catalog import Catalog
from common.config.settings import WorkerSettings
from worker.upstreams.check import Check, CheckFailedError
from worker.upstreams.elasticsearch import access_checks
from worker.upstreams.elasticsearch.access_checks import PRIVILEGE
from worker.upstreams.probe import Probe, json_object


class ElasticsearchChecks:
    def __init__(self, probe: Probe, settings: WorkerSettings, catalog: Catalog) -> None:
        self._probe = probe
        self._login = settings.elasticsearch_user
        self._access = access_checks.of(probe, login=self._login)
        self._has_people = catalog.accounts.kibana == "ours"
        self._roles = sorted({team.kibana_role for team in catalog.teams.values()})

    def all(self) -> tuple[Check, ...]:
        return (*self._access.values(), self._native_users_check(), *self._team_roles()) if self._has_people else ()

    def _native_users_check(self) -> Check:
        return Check(
            name="native users",
            question="Does Elasticsearch have a native user store?",
            remedy="in elasticsearch.yml: leave the native realm enabled; the index .security must exist",
            run=self._native_users,
            needs=(f"privilege {PRIVILEGE}",),
        )

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

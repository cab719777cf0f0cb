"""The doctor's checks of Jenkins: its own users, plugins, and all others in their order.

Our account is in `access_checks`, what belongs to teams and pipelines in `authorization_checks` and `place_checks`.
Source: jenkinsci/jenkins 2.568 `HudsonPrivateSecurityRealm`, `PluginManager.getApi`.
"""

from __future__ import annotations

from functools import cached_property, partial
from typing import Any

from common.config.catalog import Catalog
from common.config.settings import WorkerSettings
from worker.upstreams.check import Check, CheckFailedError
from worker.upstreams.jenkins import access_checks, plugins
from worker.upstreams.jenkins.authorization_checks import AuthorizationChecks
from worker.upstreams.jenkins.place_checks import PlaceChecks
from worker.upstreams.probe import Probe, json_object

_SECURITY = "on Jenkins: Manage Jenkins → Security"


class JenkinsChecks:
    def __init__(self, probe: Probe, settings: WorkerSettings, catalog: Catalog) -> None:
        self._probe = probe
        self._access = access_checks.of(probe, login=settings.jenkins_auth_id)
        self._needed = plugins.needed(catalog)
        self._has_external_accounts = catalog.accounts.jenkins != "ours"
        teams = list(catalog.teams.values())
        credentials = list(filter(None, (settings.gitlab_credential, settings.registry_credential)))
        self._authorization = AuthorizationChecks(probe, teams)
        self._places = PlaceChecks(probe, teams, credentials=credentials, installed=lambda: self._plugins)

    def all(self) -> tuple[Check, ...]:
        account = (self._access[name] for name in ("answers", "token", "version"))
        own = (*account, *self._security(), *self._plugin_checks())
        return (*own, *self._authorization.all(), *self._places.all())

    def _security(self) -> list[Check]:
        return [
            Check(
                name="user database",
                question="Does Jenkins have its own user database?",
                remedy=f"{_SECURITY} → Security Realm → Jenkins' own user database; or keep the realm, and set "
                'jenkins = "external" in the section [accounts] of the catalog (CATALOG_FILE)',
                run=self._user_database,
                needs=("token",),
            ),
            self._access["administrator"],
        ]

    def _plugin_checks(self) -> list[Check]:
        return [
            Check(
                name=f"plugin {plugin}",
                question="Is the plugin installed and active?",
                remedy=f"on Jenkins: Manage Jenkins → Plugins → Available plugins → {title} → Install, and restart",
                run=partial(self._plugin, plugin),
                needs=("administrator",),
            )
            for plugin, title in self._needed.items()
        ]

    # -- security ----------------------------------------------------------------------------------------------

    def _user_database(self) -> str:
        reply = self._probe.get("securityRealm", is_page=True)
        if reply.status == 404 and self._has_external_accounts:
            return "not needed: the catalog leaves accounts to others"
        if reply.status == 404:
            hint = f" (plugins bring {brought})" if (brought := self._realms()) else ""
            raise CheckFailedError(f"another security realm is active{hint}, so Slipway cannot create accounts")
        if reply.status != 403:
            self._probe.expect(reply, "reading its users")
        return "active"

    def _realms(self) -> str:
        try:
            return plugins.realms_among(self._plugins)
        except CheckFailedError:  # the list of plugins is not for everybody
            return ""

    # -- plugins ----------------------------------------------------------------------------------------------

    @cached_property
    def _plugins(self) -> dict[str, dict[str, Any]]:
        tree = {"tree": "plugins[shortName,version,active,enabled]"}
        reply = self._probe.expect(self._probe.get("pluginManager", "api", "json", params=tree), "listing its plugins")
        return {str(row.get("shortName")): row for row in json_object(reply).get("plugins", ())}

    def _plugin(self, name: str) -> str:
        row = self._plugins.get(name)
        if row is None:
            raise CheckFailedError("the plugin is not installed")
        if not (row.get("active") and row.get("enabled")):
            raise CheckFailedError(
                "the plugin is installed, but not active", f"on Jenkins: Plugins → Installed → enable {name}; restart"
            )
        return str(row.get("version", "installed"))

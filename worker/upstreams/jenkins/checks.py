"""The doctor's checks of Jenkins: access, the right to create accounts and to assign rights, plugins.

What belongs to teams and pipelines is in `authorization_checks` and `place_checks`.
Source: jenkinsci/jenkins 2.568 `HudsonPrivateSecurityRealm/index.jelly` and `Jenkins.doScript` (shown to administrators
alone), `PluginManager.getApi`.
"""

from __future__ import annotations

from functools import cached_property, partial
from typing import Any

from common.config.catalog import Catalog
from common.config.settings import WorkerSettings
from worker.upstreams.check import Check, CheckFailedError
from worker.upstreams.jenkins import plugins
from worker.upstreams.jenkins.authorization_checks import AuthorizationChecks
from worker.upstreams.jenkins.place_checks import PlaceChecks
from worker.upstreams.probe import Probe, at_least, json_object

OLDEST = (2, 211)  # since then the queue answers by status
_SECURITY = "on Jenkins: Manage Jenkins → Security"


class JenkinsChecks:
    def __init__(self, probe: Probe, settings: WorkerSettings, catalog: Catalog) -> None:
        self._probe = probe
        self._login = settings.jenkins_auth_id
        self._needed = plugins.needed(catalog)
        self._has_external_accounts = catalog.accounts.jenkins != "ours"
        teams = list(catalog.teams.values())
        credentials = list(filter(None, (settings.gitlab_credential, settings.registry_credential)))
        self._authorization = AuthorizationChecks(probe, teams)
        self._places = PlaceChecks(probe, teams, credentials=credentials, installed=lambda: self._plugins)

    def all(self) -> tuple[Check, ...]:
        own = (*self._access(), *self._security(), *self._plugin_checks())
        return (*own, *self._authorization.all(), *self._places.all())

    def _access(self) -> list[Check]:
        return [
            Check(
                name="answers",
                question="Does Jenkins answer at JENKINS_URL?",
                remedy="start Jenkins, or correct JENKINS_URL",
                run=self._answers,
            ),
            Check(
                name="token",
                question="Does Jenkins accept JENKINS_AUTH_ID and JENKINS_AUTH_TOKEN?",
                remedy=f"on Jenkins, as {self._login}: your name → Security → API Token → Add new Token; set "
                "JENKINS_AUTH_TOKEN to it and JENKINS_AUTH_ID to the login",
                run=self._token,
                needs=("answers",),
            ),
            Check(
                name="version",
                question="Is it a version that Slipway supports?",
                remedy="upgrade Jenkins",
                run=self._version,
                needs=("token",),
            ),
        ]

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
            Check(
                name="administrator",
                question="Does our account have Overall/Administer?",
                remedy="on Jenkins: Manage Jenkins → Manage and Assign Roles → Assign Roles → Global roles: give "
                f"{self._login} a role with Overall/Administer",
                run=self._administrator,
                needs=("token",),
            ),
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

    # -- access ---------------------------------------------------------------------------------------------------

    def _answers(self) -> str:
        reply = self._probe.get("whoAmI", "api", "json")
        if reply.status == 503 and "getting ready" in reply.text:
            raise CheckFailedError("Jenkins is starting", "wait until it is up; if that takes long, read its log")
        is_asking = (
            "jenkins" in reply.headers.get("WWW-Authenticate", "").lower()
        )  # the body of the 401 is Jetty's own page
        if not (reply.status == 401 and is_asking) and "X-Jenkins" not in reply.headers:
            raise self._probe.not_this_upstream(reply)
        return self._probe.url

    def _token(self) -> str:
        reply = self._probe.get("whoAmI", "api", "json")
        if reply.status == 401:
            raise CheckFailedError(f"Jenkins refuses the login {self._login} with this token")
        who = json_object(self._probe.expect(reply, "reading our user"))
        if who.get("anonymous") or str(who.get("name", "")).casefold() != self._login.casefold():
            raise CheckFailedError("Jenkins does not receive the login: it sees another user")
        return str(who["name"])

    def _version(self) -> str:
        return at_least("Jenkins", self._probe.get("whoAmI", "api", "json").headers.get("X-Jenkins", "0"), OLDEST)

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

    def _administrator(self) -> str:
        reply = self._probe.get("securityRealm", is_page=True)
        if reply.status == 404:  # another realm: the script console is shown to administrators alone, too
            reply = self._probe.get("script")
        if reply.status == 403:
            raise CheckFailedError(f"{self._login} lacks Overall/Administer")
        self._probe.expect(reply, "reading a page for administrators")
        return self._login

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

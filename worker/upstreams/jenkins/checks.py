"""The doctor's checks of Jenkins: the right to create accounts, assign roles and create pipelines that clone.

Source: jenkinsci/jenkins 2.568 `HudsonPrivateSecurityRealm/index.jelly` (shown to administrators alone),
`PluginManager.getApi`; role-strategy 898; credentials-plugin `docs/user.adoc`.
"""

from __future__ import annotations

import re
from functools import cached_property, partial
from typing import Any

from common.config import naming
from common.config.catalog import Catalog, CatalogTeam
from common.config.settings import WorkerSettings
from worker.upstreams.check import Check, CheckFailedError, CheckInconclusiveError
from worker.upstreams.jenkins.paths import job_path
from worker.upstreams.probe import Probe, at_least, json_object

OLDEST = (2, 211)  # since then the queue answers by status
PLUGINS = {
    "role-strategy": "Role-based Authorization Strategy",
    "cloudbees-folder": "Folders",
    "workflow-job": "Pipeline: Job",
    "workflow-cps": "Pipeline: Groovy",
    "git": "Git",
    "credentials": "Credentials",
}
FOLDER = "com.cloudbees.hudson.plugins.folder.Folder"
ANY_APP = "any-app"
_STRATEGY = ("role-strategy", "strategy")
_GLOBAL_DOMAIN = ("domain", "_", "api", "json")
_SECURITY = "on Jenkins: Manage Jenkins → Security"
_ROLES = "on Jenkins: Manage Jenkins → Manage and Assign Roles → Manage Roles → Item roles"


class JenkinsChecks:
    def __init__(self, probe: Probe, settings: WorkerSettings, catalog: Catalog) -> None:
        self._probe = probe
        self._login = settings.jenkins_auth_id
        self._credential = settings.gitlab_credential
        self._teams = list(catalog.teams.values())

    def all(self) -> tuple[Check, ...]:
        return (*self._access(), *self._security(), *self._plugin_checks(), *self._places())

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
                remedy=f"{_SECURITY} → Security Realm → Jenkins' own user database",
                run=self._user_database,
                needs=("token",),
            ),
            Check(
                name="administrator",
                question="Does our account have Overall/Administer?",
                remedy="on Jenkins: Manage Jenkins → Manage and Assign Roles → Assign Roles → Global roles: give "
                f"{self._login} a role with Overall/Administer",
                run=self._administrator,
                needs=("user database",),
            ),
        ]

    def _plugin_checks(self) -> list[Check]:
        plugins = [
            Check(
                name=f"plugin {plugin}",
                question="Is the plugin installed and active?",
                remedy=f"on Jenkins: Manage Jenkins → Plugins → Available plugins → {title} → Install, and restart",
                run=partial(self._plugin, plugin),
                needs=("administrator",),
            )
            for plugin, title in PLUGINS.items()
        ]
        strategy = Check(
            name="role strategy",
            question="Is role-strategy the active authorization?",
            remedy=f"{_SECURITY} → Authorization → Role-Based Strategy",
            run=self._role_strategy,
            needs=("plugin role-strategy",),
        )
        return [*plugins, strategy]

    def _places(self) -> list[Check]:
        teams = [check for team in self._teams for check in self._team(team)]
        credential = Check(
            name=f"credential {self._credential}",
            question="Does the credential exist with which pipelines clone?",
            remedy="on Jenkins: Manage Jenkins → Credentials → System → Global credentials → Add Credentials: Username "
            f"with password, a GitLab user that can read the teams' groups, ID {self._credential}; or set "
            "GITLAB_CREDENTIAL to the ID of an existing one",
            run=self._has_credential,
            needs=("plugin credentials",),
        )
        return [*teams, credential]

    def _team(self, team: CatalogTeam) -> list[Check]:
        pattern = f"{team.jenkins_folder}(/.*_{team.id})?"
        on_pipelines = f"role {team.jenkins_role} on {_pipeline_of(team)}"
        return [
            Check(
                name=f"folder {team.jenkins_folder}",
                question="Does the team's folder exist?",
                remedy=f"on Jenkins: New Item → {team.jenkins_folder} → Folder; or correct jenkins_folder in the "
                "catalog (CATALOG_FILE)",
                run=partial(self._folder, team),
                needs=("plugin cloudbees-folder",),
            ),
            Check(
                name=f"role {team.jenkins_role}",
                question="Does the team's item role exist?",
                remedy=f"{_ROLES}: add {team.jenkins_role} with the pattern {pattern} and Job/Read, Build, Cancel; or "
                "correct jenkins_role in the catalog (CATALOG_FILE)",
                run=partial(self._role, team),
                needs=("role strategy",),
            ),
            Check(
                name=on_pipelines,
                question="Does the role's pattern match the team's pipelines?",
                remedy=f"{_ROLES}: change the pattern of {team.jenkins_role} to {pattern}",
                run=partial(self._pattern, team),
                needs=(f"role {team.jenkins_role}",),
            ),
            Check(
                name=f"role {team.jenkins_role} on {team.jenkins_folder}",
                question="Does the role's pattern match the folder itself?",
                remedy=f"{_ROLES}: change the pattern of {team.jenkins_role} to {pattern}",
                run=partial(self._folder_pattern, team),
                needs=(on_pipelines,),
            ),
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
        if reply.status == 404:
            raise CheckFailedError("another security realm is active, so Slipway cannot create accounts")
        if reply.status != 403:
            self._probe.expect(reply, "reading its users")
        return "active"

    def _administrator(self) -> str:
        reply = self._probe.get("securityRealm", is_page=True)
        if reply.status == 403:
            raise CheckFailedError(f"{self._login} lacks Overall/Administer")
        self._probe.expect(reply, "reading its users")
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

    def _role_strategy(self) -> str:
        reply = self._probe.get(*_STRATEGY, "getAllRoles", params={"type": "projectRoles"})
        if reply.status == 404:
            raise CheckFailedError("another authorization strategy is active, so roles have no effect")
        self._probe.expect(reply, "reading the roles")
        return "active"

    # -- places -----------------------------------------------------------------------------------------------

    def _folder(self, team: CatalogTeam) -> str:
        reply = self._probe.get(*job_path(team.jenkins_folder), "api", "json", params={"tree": "_class,fullName"})
        if reply.status == 404:
            raise CheckFailedError("Jenkins has no such folder")
        kind = json_object(self._probe.expect(reply, "reading the folder")).get("_class")
        if kind != FOLDER:
            raise CheckFailedError(
                f"it is not a folder but a {str(kind).rpartition('.')[2]}",
                "rename it on Jenkins, and create a folder of this name",
            )
        return "exists"

    def _role(self, team: CatalogTeam) -> str:
        if not self._details(team):
            raise CheckFailedError("Jenkins has no such item role")
        return "exists"

    def _pattern(self, team: CatalogTeam) -> str:
        pattern = str(self._details(team).get("pattern", ""))
        if not _matches(pattern, _pipeline_of(team)):
            raise CheckFailedError(
                f"its pattern {pattern} does not match {_pipeline_of(team)}: the team cannot see its pipelines"
            )
        return pattern

    def _folder_pattern(self, team: CatalogTeam) -> str:
        """Another role may give access to it: people reach an item through every folder above it."""
        pattern = str(self._details(team).get("pattern", ""))
        if not _matches(pattern, team.jenkins_folder):
            reason = (
                f"its pattern {pattern} does not match {team.jenkins_folder} itself, so people need another role for it"
            )
            raise CheckInconclusiveError(
                reason, f"{_ROLES}: the pattern {team.jenkins_folder}(/.*_{team.id})? matches both"
            )
        return team.jenkins_folder

    def _details(self, team: CatalogTeam) -> dict[str, Any]:
        asked = {"type": "projectRoles", "roleName": team.jenkins_role}
        return json_object(self._probe.expect(self._probe.get(*_STRATEGY, "getRole", params=asked), "reading the role"))

    def _has_credential(self) -> str:
        if self._credential in self._ids("credentials", "store", "system"):
            return "for all folders"
        folders = sorted({team.jenkins_folder for team in self._teams})
        without = [each for each in folders if self._credential not in self._folder_ids(each)]
        if without:
            raise CheckFailedError(f"neither Jenkins nor its folder {without[0]} has a credential of this ID")
        return f"in {', '.join(folders)}"

    def _folder_ids(self, folder: str) -> set[str]:
        return self._ids(*job_path(folder), "credentials", "store", "folder")

    def _ids(self, *store: str) -> set[str]:
        reply = self._probe.get(*store, *_GLOBAL_DOMAIN, params={"tree": "credentials[id]"})
        if reply.status == 404:
            return set()
        rows = json_object(self._probe.expect(reply, "listing the credentials")).get("credentials", ())
        return {str(row.get("id")) for row in rows}


def _pipeline_of(team: CatalogTeam) -> str:
    return f"{team.jenkins_folder}/{naming.pipeline(ANY_APP, team.id)}"


def _matches(pattern: str, name: str) -> bool:
    """Match the whole name, as the plugin does. Raises CheckInconclusiveError where only Java can."""
    try:
        return re.fullmatch(pattern, name) is not None
    except re.error:
        raise CheckInconclusiveError(f"only Jenkins itself knows what {pattern} matches") from None

"""Does Jenkins let us make accounts, give roles, and make pipelines that clone?

Source: jenkinsci/jenkins 2.568 `HudsonPrivateSecurityRealm/index.jelly` (shown to administrators alone),
`PluginManager.getApi`; role-strategy 898; credentials-plugin `docs/user.adoc`.
"""

from __future__ import annotations

import re
from functools import cached_property, partial
from typing import Any

from common.config import naming
from common.config.catalog import Catalog, Team
from common.config.settings import WorkerSettings
from worker.upstreams.check import Check, CheckFailedError, Untold
from worker.upstreams.jenkins.base import job_path
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
    def __init__(self, way: Probe, settings: WorkerSettings, catalog: Catalog) -> None:
        self._way = way
        self._login = settings.jenkins_auth_id
        self._credential = settings.gitlab_credential
        self._teams = list(catalog.teams.values())

    def table(self) -> tuple[Check, ...]:
        return (*self._about_us(), *self._about_security(), *self._about_plugins(), *self._about_places())

    def _about_us(self) -> list[Check]:
        return [
            Check(
                name="answers",
                question="Does Jenkins answer at JENKINS_URL?",
                remedy="start Jenkins, or correct JENKINS_URL",
                look=self._answers,
            ),
            Check(
                name="token",
                question="Does Jenkins accept JENKINS_AUTH_ID and JENKINS_AUTH_TOKEN?",
                remedy=f"on Jenkins, as {self._login}: your name → Security → API Token → Add new Token; put it in "
                "JENKINS_AUTH_TOKEN, and the login in JENKINS_AUTH_ID",
                look=self._token,
                needs=("answers",),
            ),
            Check(
                name="version",
                question="Is it a version that we know?",
                remedy="upgrade Jenkins",
                look=self._version,
                needs=("token",),
            ),
        ]

    def _about_security(self) -> list[Check]:
        return [
            Check(
                name="user database",
                question="Does Jenkins keep its own users?",
                remedy=f"{_SECURITY} → Security Realm → Jenkins' own user database",
                look=self._user_database,
                needs=("token",),
            ),
            Check(
                name="administrator",
                question="Has our account Overall/Administer?",
                remedy="on Jenkins: Manage Jenkins → Manage and Assign Roles → Assign Roles → Global roles: give "
                f"{self._login} a role with Overall/Administer",
                look=self._administrator,
                needs=("user database",),
            ),
        ]

    def _about_plugins(self) -> list[Check]:
        plugins = [
            Check(
                name=f"plugin {plugin}",
                question="Is the plugin there and active?",
                remedy=f"on Jenkins: Manage Jenkins → Plugins → Available plugins → {title} → Install, and restart",
                look=partial(self._plugin, plugin),
                needs=("administrator",),
            )
            for plugin, title in PLUGINS.items()
        ]
        strategy = Check(
            name="role strategy",
            question="Do roles decide who may do what?",
            remedy=f"{_SECURITY} → Authorization → Role-Based Strategy",
            look=self._role_strategy,
            needs=("plugin role-strategy",),
        )
        return [*plugins, strategy]

    def _about_places(self) -> list[Check]:
        teams = [check for team in self._teams for check in self._about_team(team)]
        credential = Check(
            name=f"credential {self._credential}",
            question="Is the credential there with which pipelines clone?",
            remedy="on Jenkins: Manage Jenkins → Credentials → System → Global credentials → Add Credentials: Username "
            f"with password, a GitLab user that reads the teams' groups, ID {self._credential}; or set "
            "GITLAB_CREDENTIAL to the ID of one that is there",
            look=self._has_credential,
            needs=("plugin credentials",),
        )
        return [*teams, credential]

    def _about_team(self, team: Team) -> list[Check]:
        pattern = f"{team.jenkins_folder}(/.*_{team.id})?"
        on_pipelines = f"role {team.jenkins_role} on {_pipeline_of(team)}"
        return [
            Check(
                name=f"folder {team.jenkins_folder}",
                question="Is the team's folder there?",
                remedy=f"on Jenkins: New Item → {team.jenkins_folder} → Folder; or correct jenkins_folder in the "
                "catalog (CATALOG_FILE)",
                look=partial(self._folder, team),
                needs=("plugin cloudbees-folder",),
            ),
            Check(
                name=f"role {team.jenkins_role}",
                question="Is the team's item role there?",
                remedy=f"{_ROLES}: add {team.jenkins_role} with the pattern {pattern} and Job/Read, Build, Cancel; or "
                "correct jenkins_role in the catalog (CATALOG_FILE)",
                look=partial(self._role, team),
                needs=("role strategy",),
            ),
            Check(
                name=on_pipelines,
                question="Does the role's pattern take the team's pipelines?",
                remedy=f"{_ROLES}: change the pattern of {team.jenkins_role} to {pattern}",
                look=partial(self._pattern, team),
                needs=(f"role {team.jenkins_role}",),
            ),
            Check(
                name=f"role {team.jenkins_role} on {team.jenkins_folder}",
                question="Does the role's pattern take the folder itself?",
                remedy=f"{_ROLES}: change the pattern of {team.jenkins_role} to {pattern}",
                look=partial(self._opens_folder, team),
                needs=(on_pipelines,),
            ),
        ]

    # -- we ---------------------------------------------------------------------------------------------------

    def _answers(self) -> str:
        reply = self._way.get("whoAmI", "api", "json")
        if reply.status == 503 and "getting ready" in reply.text:
            raise CheckFailedError("Jenkins is starting", "wait until it is up; if that lasts, see its log")
        is_asking = "jenkins" in reply.headers.get("WWW-Authenticate", "").lower()  # the 401 is Jetty's own page
        if not (reply.status == 401 and is_asking) and "X-Jenkins" not in reply.headers:
            raise self._way.stranger(reply)
        return self._way.url

    def _token(self) -> str:
        reply = self._way.get("whoAmI", "api", "json")
        if reply.status == 401:
            raise CheckFailedError(f"Jenkins refuses the login {self._login} with this token")
        who = json_object(self._way.expect(reply, "asking who we are"))
        if who.get("anonymous") or str(who.get("name", "")).casefold() != self._login.casefold():
            raise CheckFailedError("Jenkins takes us for somebody else: the login does not arrive there")
        return str(who["name"])

    def _version(self) -> str:
        return at_least("Jenkins", self._way.get("whoAmI", "api", "json").headers.get("X-Jenkins", "0"), OLDEST)

    def _user_database(self) -> str:
        reply = self._way.get("securityRealm", is_page=True)
        if reply.status == 404:
            raise CheckFailedError("another security realm is active: no account can be made there")
        if reply.status != 403:
            self._way.expect(reply, "looking at its users")
        return "its own"

    def _administrator(self) -> str:
        reply = self._way.get("securityRealm", is_page=True)
        if reply.status == 403:
            raise CheckFailedError(f"{self._login} lacks Overall/Administer")
        self._way.expect(reply, "looking at its users")
        return self._login

    # -- plugins ----------------------------------------------------------------------------------------------

    @cached_property
    def _plugins(self) -> dict[str, dict[str, Any]]:
        tree = {"tree": "plugins[shortName,version,active,enabled]"}
        reply = self._way.expect(self._way.get("pluginManager", "api", "json", params=tree), "listing its plugins")
        return {str(row.get("shortName")): row for row in json_object(reply).get("plugins", ())}

    def _plugin(self, name: str) -> str:
        row = self._plugins.get(name)
        if row is None:
            raise CheckFailedError("Jenkins does not have it")
        if not (row.get("active") and row.get("enabled")):
            raise CheckFailedError(
                "it is installed, but not active", f"on Jenkins: Plugins → Installed → enable {name}; restart"
            )
        return str(row.get("version", "there"))

    def _role_strategy(self) -> str:
        reply = self._way.get(*_STRATEGY, "getAllRoles", params={"type": "projectRoles"})
        if reply.status == 404:
            raise CheckFailedError("another authorization strategy is active: roles mean nothing")
        self._way.expect(reply, "reading the roles")
        return "active"

    # -- places -----------------------------------------------------------------------------------------------

    def _folder(self, team: Team) -> str:
        reply = self._way.get(*job_path(team.jenkins_folder), "api", "json", params={"tree": "_class,fullName"})
        if reply.status == 404:
            raise CheckFailedError("Jenkins has no such folder")
        kind = json_object(self._way.expect(reply, "looking for the folder")).get("_class")
        if kind != FOLDER:
            raise CheckFailedError(
                f"it is no folder but a {str(kind).rpartition('.')[2]}", "move it away, and make a folder there"
            )
        return "there"

    def _role(self, team: Team) -> str:
        if not self._details(team):
            raise CheckFailedError("Jenkins has no such item role")
        return "there"

    def _pattern(self, team: Team) -> str:
        pattern = str(self._details(team).get("pattern", ""))
        if not _takes(pattern, _pipeline_of(team)):
            raise CheckFailedError(
                f"its pattern {pattern} does not match {_pipeline_of(team)}: the team would not see its pipelines"
            )
        return pattern

    def _opens_folder(self, team: Team) -> str:
        """Another role may open it: people reach an item through all that is above it."""
        pattern = str(self._details(team).get("pattern", ""))
        if not _takes(pattern, team.jenkins_folder):
            reason = (
                f"its pattern {pattern} leaves out {team.jenkins_folder} itself: people need another role that opens it"
            )
            raise Untold(reason, f"{_ROLES}: {team.jenkins_folder}(/.*_{team.id})? would open both")
        return team.jenkins_folder

    def _details(self, team: Team) -> dict[str, Any]:
        asked = {"type": "projectRoles", "roleName": team.jenkins_role}
        return json_object(self._way.expect(self._way.get(*_STRATEGY, "getRole", params=asked), "reading the role"))

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
        reply = self._way.get(*store, *_GLOBAL_DOMAIN, params={"tree": "credentials[id]"})
        if reply.status == 404:
            return set()
        rows = json_object(self._way.expect(reply, "listing the credentials")).get("credentials", ())
        return {str(row.get("id")) for row in rows}


def _pipeline_of(team: Team) -> str:
    return f"{team.jenkins_folder}/{naming.pipeline(ANY_APP, team.id)}"


def _takes(pattern: str, name: str) -> bool:
    """Match as the plugin does, against the whole name. Raises Untold for what only Java's expressions know."""
    try:
        return re.fullmatch(pattern, name) is not None
    except re.error:
        raise Untold(f"only Jenkins itself can tell what {pattern} matches") from None

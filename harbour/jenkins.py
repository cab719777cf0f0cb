"""How does Jenkins present itself as a whole?

The parts: `jenkins_core` (who may), `jenkins_users`, `jenkins_roles`, `jenkins_items` (folders and pipelines).
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from werkzeug.wrappers import Request, Response

from harbour import jenkins_xml as xml
from harbour.config import HarbourConfig
from harbour.jenkins_core import ADMINISTER, Role, User, caller_of
from harbour.jenkins_items import JenkinsItems
from harbour.jenkins_pages import is_browser, page
from harbour.jenkins_roles import JenkinsRoles
from harbour.jenkins_tree import exported
from harbour.jenkins_users import JenkinsUsers
from harbour.jenkins_views import item_brief
from harbour.server import route

CREDENTIAL_ID = "gitlab"
DEVELOPER = [f"hudson.model.Item.{verb}" for verb in ("Build", "Cancel", "Read", "Workspace")]


class Jenkins(JenkinsUsers, JenkinsRoles, JenkinsItems):
    """A Jenkins with its own user database, role-strategy, folders and pipelines.

    Seeded with a folder and a project role for each team, and with the credential `gitlab`.
    """

    def __init__(self, config: HarbourConfig) -> None:
        super().__init__(config)
        self._seed(config.jenkins_user)

    def _seed(self, admin: str) -> None:
        self.users[admin.lower()] = User(id=admin, full_name=admin, digest="")
        self.roles["globalRoles"] = {
            "admin": Role(permissions=[ADMINISTER], sids={("USER", admin)}),
            "reader": Role(permissions=["hudson.model.Hudson.Read"], sids={("GROUP", "authenticated")}),
        }
        for team in self.config.teams:
            # The folder itself has to match as well, or nobody gets past it to the jobs.
            role = Role(pattern=f"{team}(/.*_{team})?", permissions=DEVELOPER)
            self.roles["projectRoles"][team] = role
            self.items[team] = xml.serialised(xml.parse(f"<{xml.FOLDER}/>"))

    # -- itself -----------------------------------------------------------------------------------------------

    @route("GET", "/whoAmI/api/json")
    def who_am_i(self, request: Request) -> Response:
        """Answer anybody. `authenticated` is true for the anonymous user, too."""
        caller = caller_of(request)
        anonymous = caller.id == "anonymous"
        shown = {
            "_class": "hudson.security.WhoAmI",
            "anonymous": anonymous,
            "authenticated": True,
            "authorities": ["anonymous" if anonymous else "authenticated"],
            "name": caller.id,
        }
        return exported(request, shown)

    @route("GET", "/api/json")
    def root(self, request: Request) -> Response:
        self.require(request, "hudson.model.Hudson.Read")
        names = [name for name in self._children("") if self._may_read(request, name)]
        shown = {
            "_class": "hudson.model.Hudson",
            "mode": "NORMAL",
            "numExecutors": 2,
            "quietingDown": False,
            "url": request.host_url,
            "useSecurity": True,
            "jobs": [item_brief(name, self.items, base=request.host_url) for name in names],
        }
        return exported(request, shown)

    @route("GET", "/")
    def dashboard(self, request: Request) -> Response:
        if not is_browser(request):
            self.require(request, "hudson.model.Hudson.Read")
        links = "".join(f'<li><a href="/job/{name}/">{name}</a></li>' for name in self._children(""))
        return page("Dashboard", f"<h1>Jenkins</h1><ul>{links}</ul>")

    @route("GET", "/credentials/store/system/domain/_/api/json")
    def system_credentials(self, request: Request) -> Response:
        self.require(request, "com.cloudbees.plugins.credentials.CredentialsProvider.View")
        action = "com.cloudbees.plugins.credentials.CredentialsStoreAction"
        credential = {
            "_class": f"{action}$CredentialsWrapper",
            "description": "read access to the source repositories",
            "displayName": f"{self.config.gitlab_user}/******",
            "fullName": f"system/_/{CREDENTIAL_ID}",
            "id": CREDENTIAL_ID,
            "typeName": "Username with password",
        }
        shown = {
            "_class": f"{action}$DomainWrapper",
            "credentials": [credential],
            "displayName": "Global credentials (unrestricted)",
            "fullName": "system/_",
            "global": True,
            "urlName": "_",
        }
        return exported(request, shown)

    # -- persistence ------------------------------------------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        """Return the state, JSON-able and canonical; passwords only as digests."""
        with self.lock:
            return {
                "users": {key: asdict(user) for key, user in sorted(self.users.items())},
                "roles": {
                    kind: {name: _role_kept(role) for name, role in sorted(roles.items())}
                    for kind, roles in sorted(self.roles.items())
                },
                "items": dict(sorted(self.items.items())),
            }

    def load(self, state: dict[str, Any]) -> None:
        """Take over a state that `dump` returned."""
        with self.lock:
            self.users = {key: User(**kept) for key, kept in state["users"].items()}
            self.roles = {
                kind: {name: _role_taken(kept) for name, kept in roles.items()}
                for kind, roles in state["roles"].items()
            }
            self.items = dict(state["items"])


def _role_kept(role: Role) -> dict[str, Any]:
    return asdict(role) | {"sids": sorted(map(list, role.sids))}


def _role_taken(kept: dict[str, Any]) -> Role:
    return Role(**kept | {"sids": {(kind, sid) for kind, sid in kept["sids"]}})

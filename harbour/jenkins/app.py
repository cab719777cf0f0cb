"""The Jenkins stand-in: initial objects, top-level pages, persistence.

The parts: `core` (authentication, permissions), `users`, `roles`, `items` (folders and pipelines), `schedule`
(executors), `queue` (from a request to a build), `nodes`, `builds` and `credentials`.

Situations: a start or a reload of the configuration (`start_up`), our token revoked (`is_token_revoked`), what our
account may do in all of Jenkins (`our_permissions`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar

from werkzeug.wrappers import Request, Response

from harbour import situations
from harbour.config import HarbourConfig
from harbour.jenkins import xml
from harbour.jenkins.core import ADMINISTER, LONG_NAMES, START_UP, Clock, Role, User, caller_of
from harbour.jenkins.credentials import JenkinsCredentials
from harbour.jenkins.model import Build, QueueItem
from harbour.jenkins.pages import is_browser, page
from harbour.jenkins.roles import JenkinsRoles
from harbour.jenkins.setup import JenkinsSetup
from harbour.jenkins.tree import exported
from harbour.jenkins.users import JenkinsUsers
from harbour.jenkins.views import item_brief
from harbour.server import route
from harbour.situations import Situation

CREDENTIAL_ID = "gitlab"
DEVELOPER = [f"hudson.model.Item.{verb}" for verb in ("Build", "Cancel", "Read", "Workspace")]


class Jenkins(JenkinsUsers, JenkinsRoles, JenkinsCredentials, JenkinsSetup):
    """A Jenkins with its own user database, role-strategy, folders, pipelines, a queue and builds.

    Seeded with a folder for each team, with its project role and a credential `gitlab`.
    """

    situations: ClassVar[Mapping[str, Situation]] = {
        "start_up": situations.choice(*START_UP),
        "is_token_revoked": situations.flag(),
        "our_permissions": situations.texts(ADMINISTER),
        **situations.in_front(),
    }

    def __init__(self, config: HarbourConfig, now: Clock = time.time) -> None:
        super().__init__(config, now)
        self._seed(config.jenkins_user)

    def _seed(self, admin: str) -> None:
        self.users[admin.lower()] = User(id=admin, full_name=admin, digest="")
        self.roles["globalRoles"] = {
            "admin": Role(permissions=[ADMINISTER], sids={("USER", admin)}),
            "reader": Role(permissions=["hudson.model.Hudson.Read"], sids={("GROUP", "authenticated")}),
        }
        if self.config.empty:
            del self.roles["globalRoles"]["reader"]
        for team in () if self.config.empty else self.config.teams:
            # The folder has to match, too: without it the jobs below are not visible.
            role = Role(pattern=f"{team}(/.*_{team})?", permissions=list(DEVELOPER))
            self.roles["projectRoles"][team] = role
            self.folder_credential_ids[team] = [CREDENTIAL_ID]
            self.items[team] = xml.serialised(xml.parse(f"<{xml.FOLDER}/>"))

    # -- top level -------------------------------------------------------------------------------------------

    @route("GET", "/whoAmI/api/json")
    def who_am_i(self, request: Request) -> Response:
        """Answer without a log-in. `authenticated` is true for the anonymous user, too."""
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
        names = [name for name in self.children_of("") if self.may_read(request, name)]
        shown = {
            "_class": "hudson.model.Hudson",
            "mode": "NORMAL",
            "numExecutors": self.executors,
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
        links = "".join(f'<li><a href="/job/{name}/">{name}</a></li>' for name in self.children_of(""))
        return page("Dashboard", f"<h1>Jenkins</h1><ul>{links}</ul>")

    @route("GET", "/script")
    def script_console(self, request: Request) -> Response:
        self.require(request, ADMINISTER)
        return page("Script Console", "<h1>Script Console</h1>")

    @route("GET", "/pluginManager/api/json")
    def list_plugins(self, request: Request) -> Response:
        self.require(request, "hudson.model.Hudson.SystemRead")
        rows = [
            {
                "active": True,
                "enabled": True,
                "longName": LONG_NAMES.get(name, name),
                "shortName": name,
                "version": version,
            }
            for name, version in self.plugins.items()
        ]
        return exported(request, {"_class": "hudson.LocalPluginManager", "plugins": rows})

    # -- persistence -----------------------------------------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        """Return the state as JSON values, in a fixed order; passwords only as digests."""
        with self.lock:
            self.catch_up()
            return {
                "users": {key: asdict(user) for key, user in sorted(self.users.items())},
                "roles": {
                    kind: {name: _role_to_json(role) for name, role in sorted(roles.items())}
                    for kind, roles in sorted(self.roles.items())
                },
                "items": dict(sorted(self.items.items())),
                "builds": {job: [asdict(build) for build in builds] for job, builds in sorted(self.builds.items())},
                "queue": [asdict(item) for item in self.queue.values()],
                "last_queue_id": self.last_queue_id,
                **({"setup": self._setup()} if self.config.empty else {}),
            }

    def _setup(self) -> dict[str, Any]:
        return {
            "plugins": self.plugins,
            "has_role_strategy": self.has_role_strategy,
            "credential_ids": self.credential_ids,
            "folder_credential_ids": self.folder_credential_ids,
        }

    def snapshot(self) -> dict[str, Any]:
        """Return the state without the counter of queue ids, and without what the queue only remembers for a while."""
        state = super().snapshot()
        del state["last_queue_id"]
        state["queue"] = [item for item in state["queue"] if item["left_at"] is None]
        return state

    def load(self, state: dict[str, Any]) -> None:
        """Restore a state that `dump` returned; an old one has no builds."""
        with self.lock:
            self.users = {key: User(**kept) for key, kept in state["users"].items()}
            self.roles = {
                kind: {name: _role_from_json(kept) for name, kept in roles.items()}
                for kind, roles in state["roles"].items()
            }
            self.items = dict(state["items"])
            self.builds = {job: [Build(**kept) for kept in builds] for job, builds in state.get("builds", {}).items()}
            self.queue = {kept["id"]: QueueItem(**kept) for kept in state.get("queue", ())}
            self.last_queue_id = state.get("last_queue_id", 0)
            for name, kept in state.get("setup", {}).items():
                setattr(self, name, kept)


def _role_to_json(role: Role) -> dict[str, Any]:
    return asdict(role) | {"sids": sorted(map(list, role.sids))}


def _role_from_json(kept: dict[str, Any]) -> Role:
    return Role(**kept | {"sids": {(kind, sid) for kind, sid in kept["sids"]}})

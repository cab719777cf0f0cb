"""The Argo CD stand-in: version, session, settings, clusters, rights, persistence, and its situations.

The parts: `core` (token, errors), `setup`, `projects`, `credential_templates`, `repositories`, `checks`, `clusters`,
`applications`, `sync`, `resources`. A git server that answers 5xx, 429 or slowly is a fault of the GitLab stand-in,
whose repositories are really read.

Situations: the Kubernetes API, the repo server, the controller or clusters away (`is_kubernetes_away`, `repo_server`,
`is_controller_away`, `clusters_away`); a closed sync window, hooks that run on, deletions that hang or fail
(`is_window_closed`, `are_hooks_running`, `are_deletions_hanging`, `deletion_error`); `live_objects` that somebody else
made; a `token_problem`; `denied_rights` of our account, such as applications/sync; `sync_errors` and `health_errors`,
one for each of the next operations.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any, ClassVar

from werkzeug.wrappers import Request, Response

from harbour import situations
from harbour.argocd.clusters import is_live_objects
from harbour.argocd.core import INVALID, REPO_SERVERS, ApiError, answer, listed, timestamp
from harbour.argocd.model import Application
from harbour.argocd.resources import ArgoCDResources
from harbour.argocd.setup import ArgoCDSetup
from harbour.argocd.views import page
from harbour.passwords import digest
from harbour.server import route
from harbour.situations import Situation

VERSION = "v3.5.1"
RESOURCES = (
    *("clusters", "projects", "applications", "applicationsets", "repositories", "write-repositories"),
    *("certificates", "accounts", "gpgkeys", "logs", "exec", "extensions"),
)
ACTIONS = ("get", "create", "update", "delete", "sync", "action", "override", "invoke")
SETTINGS = {
    "appLabelKey": "app.kubernetes.io/instance",
    "googleAnalytics": {"anonymizeUsers": True},
    "kustomizeOptions": {"BuildOptions": "", "BinaryPath": "", "Versions": None},
    "help": {},
    "trackingMethod": "annotation",
    "syncWithReplaceAllowed": True,
}
SECRETS = frozenset({"password", "bearerToken", "sshPrivateKey", "tlsClientCertKey"})
APPLICATION_PAGE = re.compile(r"/applications/(?:argocd/)?([^/]+)/?")


class ArgoCD(ArgoCDSetup, ArgoCDResources):
    """An Argo CD with the project `default`, a project and a cluster for each team, and one account.

    It reads repositories with git over HTTP, from any server. An application syncs on request, never by itself.
    """

    situations: ClassVar[Mapping[str, Situation]] = {
        "is_kubernetes_away": situations.flag(),
        "is_controller_away": situations.flag(),
        "repo_server": situations.choice(*REPO_SERVERS),
        "clusters_away": situations.texts(),
        "is_window_closed": situations.flag(),
        "are_hooks_running": situations.flag(),
        "are_deletions_hanging": situations.flag(),
        "deletion_error": situations.text(),
        "live_objects": Situation([], 'a list of {"cluster": NAME, "manifest": OBJECT}', is_live_objects),
        "token_problem": situations.text(),
        "sync_errors": situations.texts(),
        "health_errors": situations.texts(),
        "denied_rights": situations.texts(),
        **situations.in_front(),
    }

    @property
    def denied_rights(self) -> list[str]:
        """Return what the policy denies our account, each as RESOURCE/ACTION."""
        return sorted("/".join(pair) for pair in self.denied)

    @denied_rights.setter
    def denied_rights(self, rights: list[str]) -> None:
        self.denied = {(resource, action) for resource, _, action in (each.partition("/") for each in rights)}

    @route("GET", "/healthz")
    def healthz(self, request: Request) -> Response:  # noqa: ARG002 - a handler gets the request
        return Response("ok", content_type="text/plain; charset=utf-8")

    @route("GET", "/api/version")
    def version_shown(self, request: Request) -> Response:
        """Answer without a token; a wrong one is ignored."""
        details = {"GoVersion": "go1.26.8", "HelmVersion": "v4.2", "Platform": "linux/amd64"}
        return answer({"Version": VERSION} | (details if self.has_token(request) else {}))

    @route("GET", "/api/v1/session/userinfo")
    def userinfo(self, request: Request) -> Response:
        """Answer 200 in any case; only `loggedIn` shows whether the token is valid."""
        if not self.has_token(request):
            return answer({})
        return answer({"loggedIn": True, "username": self.account_of(request), "iss": "argocd"})

    @route("GET", "/api/v1/settings")
    def settings_shown(self, request: Request) -> Response:  # noqa: ARG002 - a handler gets the request
        return answer(SETTINGS)

    @route("GET", "/api/v1/clusters")
    def list_clusters(self, request: Request) -> Response:
        """Answer the clusters that the account may see; a list is never refused."""
        if not self.is_allowed(self.account_of(request), "clusters", "get", "*"):
            return listed([])
        with self.lock:
            return listed([self._cluster_shown(name, server) for name, server in self.clusters().items()])

    def _cluster_shown(self, name: str, server: str) -> dict[str, Any]:
        """Return a cluster with its connection, which is watched only while applications are on it."""
        count = sum(self.cluster_of(each.spec["destination"]) == name for each in self.applications.values())
        problem = self.cluster_problem(name)
        status, message = ("Failed", f"failed to get server version: {problem}") if problem else ("Successful", "")
        if not count and not problem:
            status, message = "Unknown", "Cluster has no applications and is not being monitored."
        state = {"status": status, "message": message, "attemptedAt": timestamp(self.now())}
        shown = {"server": server, "name": name, "config": {"tlsClientConfig": {"insecure": False}}}
        info = {"connectionState": state, "cacheInfo": {}, "applicationsCount": count}
        return shown | {"connectionState": state, "info": info}

    @route("GET", "/api/v1/account/can-i/:resource/:action/(?P<thing>.+)")
    def can_i(self, request: Request, resource: str, action: str, thing: str) -> Response:
        for known, asked in ((RESOURCES, resource), (ACTIONS, action)):
            if asked not in known:
                raise ApiError(INVALID, f"[{' '.join(known)}] does not contain {asked}")
        may = self.is_allowed(self.account_of(request), resource, action, thing)
        return answer({"value": "yes" if may else "no"})

    def no_route(self, request: Request, methods: set[str]) -> Response:
        """Answer the user interface outside of `/api/` when HTML is accepted."""
        is_page = not methods and not request.path.startswith("/api/")
        if not is_page or "text/html" not in request.headers.get("Accept", ""):
            return super().no_route(request, methods)
        opened = APPLICATION_PAGE.fullmatch(request.path)
        with self.lock:
            self.advance()
            app = self.applications.get(opened[1]) if opened else None
            return page(app, self.shown(app)["status"] if app else {})

    # -- persistence -----------------------------------------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        """Return the state as JSON values, in a fixed order, with the passwords that git needs."""
        with self.lock:
            return {
                "applications": copy.deepcopy(self.application_state()),
                "live": copy.deepcopy(self.live),
                "projects": copy.deepcopy(self.projects),
                "repositories": copy.deepcopy(dict(sorted(self.repositories.items()))),
                "templates": copy.deepcopy(dict(sorted(self.templates.items()))),
                "version": self.version,
                **({"setup": copy.deepcopy(self.setup_state())} if self.config.empty else {}),
            }

    def snapshot(self) -> dict[str, Any]:
        """Return the state with digests instead of passwords, and without what follows from it with the time."""
        state = super().snapshot()
        del state["version"]
        state["live"] = self.live_objects
        for app in state["applications"].values():
            del app["away"], app["invalid_at"]
            for run in app["runs"]:
                del run["is_applied"]
        for kept in (*state["repositories"].values(), *state["templates"].values()):
            for name in SECRETS & kept.keys():
                kept[name] = digest(kept[name], owner=kept.get("repo") or kept["url"])
        return state

    def load(self, state: dict[str, Any]) -> None:
        """Restore a state that `dump` returned."""
        with self.lock:
            self.applications = {name: Application.restored(kept) for name, kept in state["applications"].items()}
            self.live = state.get("live", {})
            self.projects |= state.get("projects", {})
            self.repositories = dict(state["repositories"])
            self.templates = dict(state.get("templates", {}))
            self.version = state["version"]
            if "setup" in state:
                self.load_setup(state["setup"])

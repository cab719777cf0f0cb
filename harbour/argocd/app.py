"""The Argo CD stand-in: version, session, clusters, projects, persistence.

The parts: `core` (token, errors), `setup`, `repositories`, `checks`, `applications`, `sync`.
"""

from __future__ import annotations

import copy
import re
from typing import Any

from werkzeug.wrappers import Request, Response

from harbour.argocd.core import INVALID, NOT_FOUND, ApiError, answer
from harbour.argocd.model import Application
from harbour.argocd.repositories import ArgoCDRepositories
from harbour.argocd.setup import ArgoCDSetup
from harbour.argocd.sync import ArgoCDSync
from harbour.argocd.views import page
from harbour.passwords import digest
from harbour.server import route

VERSION = "v3.5.1+109ca7c"
RESOURCES = frozenset({"applications", "clusters", "projects", "repositories"})
ACTIONS = frozenset({"get", "create", "update", "delete", "sync"})
SECRETS = frozenset({"password", "bearerToken", "sshPrivateKey", "tlsClientCertKey"})
APPLICATION_PAGE = re.compile(r"/applications/(?:argocd/)?([^/]+)/?")


class ArgoCD(ArgoCDSetup, ArgoCDRepositories, ArgoCDSync):
    """An Argo CD with the project `default`, a project and a cluster for each team, and one account.

    It reads repositories with git over HTTP, from any server. An application syncs on request, never by itself.
    """

    @route("GET", "/healthz")
    def healthz(self, request: Request) -> Response:  # noqa: ARG002 - a handler gets the request
        return Response("ok", content_type="text/plain; charset=utf-8")

    @route("GET", "/api/version")
    def version_shown(self, request: Request) -> Response:
        """Answer without a token; a wrong one is ignored."""
        details = {"GoVersion": "go1.25.1", "HelmVersion": "v3.18.4", "Platform": "linux/amd64"}
        return answer({"Version": VERSION} | (details if self.has_token(request) else {}))

    @route("GET", "/api/v1/session/userinfo")
    def userinfo(self, request: Request) -> Response:
        """Answer 200 in any case; only `loggedIn` shows whether the token is valid."""
        if not self.has_token(request):
            return answer({})
        return answer({"loggedIn": True, "username": self.account_of(request), "iss": "argocd"})

    @route("GET", "/api/v1/clusters")
    def list_clusters(self, request: Request) -> Response:
        """Answer the clusters that the account may see; a list is never refused."""
        if not self.is_allowed(self.account_of(request), "clusters", "get", "*"):
            return answer({"metadata": {}, "items": []})
        state = {"status": "Successful", "message": "", "attemptedAt": None}
        items = [
            {"name": name, "server": server, "config": {"tlsClientConfig": {}}, "connectionState": state}
            for name, server in self.clusters().items()
        ]
        return answer({"metadata": {}, "items": items})

    @route("GET", "/api/v1/projects/:name")
    def get_project(self, request: Request, name: str) -> Response:  # noqa: ARG002 - as above
        spec = self.projects.get(name)
        if spec is None:
            raise ApiError(NOT_FOUND, f'appprojects.argoproj.io "{name}" not found')
        return answer({"metadata": {"name": name, "namespace": "argocd"}, "spec": spec, "status": {}})

    @route("GET", "/api/v1/account/can-i/:resource/:action/(?P<thing>.+)")
    def can_i(self, request: Request, resource: str, action: str, thing: str) -> Response:
        if resource not in RESOURCES or action not in ACTIONS:
            raise ApiError(INVALID, f"{sorted(RESOURCES)} {sorted(ACTIONS)} does not contain {resource} {action}")
        may = self.is_allowed(self.account_of(request), resource, action, thing)
        return answer({"value": "yes" if may else "no"})

    def no_route(self, request: Request, methods: set[str]) -> Response:
        """Answer the user interface outside of `/api/` when HTML is accepted."""
        is_page = not methods and not request.path.startswith("/api/")
        if not is_page or "text/html" not in request.headers.get("Accept", ""):
            return super().no_route(request, methods)
        opened = APPLICATION_PAGE.fullmatch(request.path)
        with self.lock:
            self.prune()
            return page(self.applications.get(opened[1]) if opened else None, now=self.now())

    # -- persistence -----------------------------------------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        """Return the state as JSON values, in a fixed order, with the passwords that git needs."""
        with self.lock:
            return {
                "applications": copy.deepcopy(self.application_state()),
                "repositories": copy.deepcopy(dict(sorted(self.repositories.items()))),
                "version": self.version,
                **({"setup": copy.deepcopy(self.setup_state())} if self.config.empty else {}),
            }

    def snapshot(self) -> dict[str, Any]:
        """Return the state with digests instead of passwords, and without the counter of writes."""
        state = super().snapshot()
        del state["version"]
        for repository in state["repositories"].values():
            for name in SECRETS & repository.keys():
                repository[name] = digest(repository[name], owner=repository["repo"])
        return state

    def load(self, state: dict[str, Any]) -> None:
        """Restore a state that `dump` returned."""
        with self.lock:
            self.applications = {name: Application.restored(kept) for name, kept in state["applications"].items()}
            self.repositories = dict(state["repositories"])
            self.version = state["version"]
            if "setup" in state:
                self.load_setup(state["setup"])

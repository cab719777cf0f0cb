"""Projects: list, read, remove; `setup` makes and changes them.

A project that is made without rules, as by `argocd proj create`, allows nothing: no source, no destination, and not
the namespace that an application's sync makes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from werkzeug.wrappers import Request, Response

from harbour.argocd.core import NOT_FOUND, ApiError, ArgoCDCore, answer, listed
from harbour.argocd.project_rules import Spec, everything_allowed, project_spec
from harbour.config import HarbourConfig
from harbour.server import route

BASE = "/api/v1/projects"
NAMESPACE = "argocd"


class ArgoCDProjects(ArgoCDCore):
    """Starts with the project `default` and one for each team, set up as an installation needs it."""

    def __init__(self, config: HarbourConfig, now: Callable[[], float] = time.time) -> None:
        super().__init__(config, now)
        names, pattern = () if config.empty else config.teams, config.team_namespaces
        teams = {team: project_spec(f"{team}-cluster", pattern.format(team=team)) for team in names}
        self.projects: dict[str, Spec] = {"default": everything_allowed()} | teams

    @route("GET", BASE)
    def list_projects(self, request: Request) -> Response:
        """Answer the projects that the account may see; a list is never refused."""
        self.require_kubernetes("Get", self._place())
        account = self.account_of(request)
        rows = [each for each in sorted(self.projects.items()) if self.is_allowed(account, "projects", "get", each[0])]
        return listed([_shown(name, spec) for name, spec in rows], 1)

    @route("GET", f"{BASE}/:name")
    def get_project(self, request: Request, name: str) -> Response:  # noqa: ARG002 - as above
        self.require_kubernetes("Get", self._place(name))
        return answer(_shown(name, self._project(name)))

    @route("DELETE", f"{BASE}/:name")
    def delete_project(self, request: Request, name: str) -> Response:  # noqa: ARG002 - as above
        self.require_kubernetes("Delete", self._place(name))
        with self.lock:
            self._project(name)
            del self.projects[name]
        return answer({})

    def _project(self, name: str) -> Spec:
        if name not in self.projects:
            raise ApiError(NOT_FOUND, f'appprojects.argoproj.io "{name}" not found')
        return self.projects[name]

    @staticmethod
    def _place(name: str = "") -> str:
        return f"/apis/argoproj.io/v1alpha1/namespaces/{NAMESPACE}/appprojects{'/' if name else ''}{name}"


def _shown(name: str, spec: Spec) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec, "status": {}}

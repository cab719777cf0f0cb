"""Protected branches in the two editions of GitLab."""

from __future__ import annotations

from typing import Any

from werkzeug.wrappers import Request, Response

from harbour.gitlab.errors import Params, as_json, empty, refuse
from harbour.gitlab.forks import Forks
from harbour.gitlab.model import MAINTAINER, Branch, Project
from harbour.gitlab.projects import PROJECT
from harbour.gitlab.views import branch_view
from harbour.server import route

BRANCHES = f"{PROJECT}/protected_branches"
LEVELS = (0, 30, 40, 60)  # 50, which is Owner elsewhere, is not a level here


class Branches(Forks):
    """The community edition ignores `allowed_to_*`; the enterprise edition adds its records to the existing ones."""

    @route("GET", BRANCHES)
    def list_branches(self, request: Request, project_id: str) -> Response:
        return self.page(request, self.find_project(request, project_id).branches, self._view)

    @route("GET", f"{BRANCHES}/:name")
    def get_branch(self, request: Request, project_id: str, name: str) -> Response:
        return as_json(self._view(_find(self.find_project(request, project_id), name)))

    @route("POST", BRANCHES)
    def protect_branch(self, request: Request, project_id: str) -> Response:
        project, params = self.find_project(request, project_id), Params(request)
        params.require("name")
        name = str(params.text("name"))
        push = params.choice("push_access_level", LEVELS)
        merge = params.choice("merge_access_level", LEVELS)
        if any(branch.name == name for branch in project.branches):
            refuse(409, f"Protected branch '{name}' already exists")
        branch = self.new_branch(name, push=[], merge=[])
        self._allow(branch, params)
        branch.push = branch.push or [self.new_level(MAINTAINER if push is None else push)]
        branch.merge = branch.merge or [self.new_level(MAINTAINER if merge is None else merge)]
        branch.allow_force_push = params.flag("allow_force_push")
        project.branches.append(branch)
        return as_json(self._view(branch), 201)

    @route("PATCH", f"{BRANCHES}/:name")
    def change_branch(self, request: Request, project_id: str, name: str) -> Response:
        branch, params = _find(self.find_project(request, project_id), name), Params(request)
        self._allow(branch, params)
        branch.allow_force_push = params.flag("allow_force_push", branch.allow_force_push)
        return as_json(self._view(branch))

    @route("DELETE", f"{BRANCHES}/:name")
    def unprotect_branch(self, request: Request, project_id: str, name: str) -> Response:
        project = self.find_project(request, project_id)
        project.branches.remove(_find(project, name))
        return empty(204)

    def _view(self, branch: Branch) -> dict[str, Any]:
        return branch_view(branch, enterprise=self.config.gitlab_edition == "ee")

    def _allow(self, branch: Branch, params: Params) -> None:
        if self.config.gitlab_edition == "ce":
            return
        push = self._changed(branch.push, params.get("allowed_to_push"), "Push")
        merge = self._changed(branch.merge, params.get("allowed_to_merge"), "Merge")
        branch.push, branch.merge = push, merge

    def _changed(self, levels: list[dict[str, int]], entries: Any, kind: str) -> list[dict[str, int]]:
        """Return the access levels after these entries: changed or deleted by id, otherwise added."""
        records = {level["id"]: level for level in levels}
        for entry in entries or ():
            if "user_id" in entry or "group_id" in entry:
                refuse(422, [f"{kind} access levels user/group restrictions need a licence"])
            record_id = entry.get("id")
            if record_id and entry.get("_destroy"):
                records.pop(record_id, None)
                continue
            level = self.new_level(entry.get("access_level", MAINTAINER))
            if any(record["access_level"] == level["access_level"] for record in records.values()):
                refuse(422, [f"{kind} access levels access level has already been taken"])
            key = record_id if record_id in records else level["id"]
            records[key] = level | {"id": key}
        return list(records.values())


def _find(project: Project, name: str) -> Branch:
    return next((b for b in project.branches if b.name == name), None) or refuse(404, "404 Not found")

"""Changes of a project: its settings, its path, its archive, its way back from a deletion.

Source: GitLab API, "Projects".
"""

from __future__ import annotations

from werkzeug.wrappers import Request, Response

from harbour import repository
from harbour.gitlab import rules
from harbour.gitlab.errors import Params, as_json, refuse
from harbour.gitlab.model import Project
from harbour.gitlab.projects import PROJECT, Projects
from harbour.server import route

TAKEN = "has already been taken"
VISIBILITIES = ("private", "internal", "public")


class ProjectEdits(Projects):
    """`PUT /projects/:id`, and `/archive`, `/unarchive`, `/restore`."""

    @route("PUT", PROJECT)
    def change_project(self, request: Request, project_id: str) -> Response:
        """Change what is given; a new path leaves a redirect at the old one."""
        project, params = self.find_project(request, project_id), Params(request)
        name, path = params.text("name") or project.name, params.text("path") or project.path
        self._refuse_names(project, name, path)
        branch = params.text("default_branch")
        if branch and branch not in repository.branches(self.repository(project)):
            refuse(400, {"base": [f"Could not set the default branch. Do you have a branch named '{branch}'?"]})
        if path != project.path:
            self.state.redirects[self.state.full_path(project).lower()] = project.id
        project.name, project.path = name, path
        project.default_branch = branch or project.default_branch
        project.visibility = params.choice("visibility", VISIBILITIES, project.visibility)
        if "description" in params:
            project.description = params.text("description")
        if "mr_default_target_self" in params:
            project.mr_default_target_self = params.flag("mr_default_target_self")
        return as_json(self.views.project(project))

    def _refuse_names(self, project: Project, name: str, path: str) -> None:
        if problems := rules.project_problems(name, path):
            refuse(400, {"path": problems})
        others = [p for p in self.state.projects.values() if p is not project]
        inside = [each for each in others if each.namespace_id == project.namespace_id]
        taken = {
            "name": [TAKEN] if any(each.name.lower() == name.lower() for each in inside) else [],
            "path": [TAKEN] if any(each.path.lower() == path.lower() for each in inside) else [],
        }
        if any(taken.values()):
            refuse(400, {field: texts for field, texts in taken.items() if texts})

    @route("POST", f"{PROJECT}/archive")
    def archive(self, request: Request, project_id: str) -> Response:
        project = self.find_project(request, project_id)
        project.archived = True
        return as_json(self.views.project(project), 201)

    @route("POST", f"{PROJECT}/unarchive")
    def unarchive(self, request: Request, project_id: str) -> Response:
        project = self.find_project(request, project_id)
        project.archived = False
        return as_json(self.views.project(project), 201)

    @route("POST", f"{PROJECT}/restore")
    def restore(self, request: Request, project_id: str) -> Response:
        """Take the mark, the archive and the suffix away again."""
        project = self.find_project(request, project_id)
        if project.marked_for_deletion_on is None:
            refuse(400, "Project has not been marked for deletion")
        name, path = (text.removesuffix(self.suffix(project)) for text in (project.name, project.path))
        self._refuse_names(project, name, path)
        self.state.redirects.pop(f"{self.state.namespace_path(project.namespace_id)}/{path}".lower(), None)
        project.name, project.path = name, path
        project.archived, project.marked_for_deletion_on = False, None
        return as_json(self.views.project(project), 201)

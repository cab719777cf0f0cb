"""Projects: search, and deletion in two steps."""

from __future__ import annotations

from datetime import UTC, datetime

from werkzeug.wrappers import Request, Response

from harbour.gitlab.errors import Params, as_json, refuse
from harbour.gitlab.model import Project
from harbour.gitlab.state import GitLabBase
from harbour.server import route

PROJECT = "/api/v4/projects/:project_id"


class Projects(GitLabBase):
    """`/projects`: a search matches parts of names, and a deleted project stays, renamed, behind a redirect."""

    @route("GET", "/api/v4/projects")
    def list_projects(self, request: Request) -> Response:
        params = Params(request)
        words = str(params.text("search") or "").lower().split()
        spaces = params.flag("search_namespaces")
        rows = [p for p in self.state.projects.values() if all(w in self._text(p, spaces) for w in words)]
        if params.given("archived"):
            rows = [project for project in rows if project.archived == params.flag("archived")]
        if params.given("active"):
            rows = [project for project in rows if project.archived != params.flag("active")]
        rows.sort(key=lambda project: (project.created_at, project.id), reverse=True)
        simple = params.flag("simple")
        return self.page(request, rows, self.views.simple_project if simple else self.views.project)

    def _text(self, project: Project, with_namespace: bool) -> str:
        searched = [project.path, project.name, project.description or ""]
        if with_namespace:
            searched.append(self.state.namespace_path(project.namespace_id))
        return "\n".join(searched).lower()

    @route("GET", PROJECT)
    def get_project(self, request: Request, project_id: str) -> Response:
        return as_json(self.views.project(self.find_project(request, project_id)))

    @route("DELETE", PROJECT)
    def delete_project(self, request: Request, project_id: str) -> Response:
        project, params = self.find_project(request, project_id), Params(request)
        if self._version < (18,):
            self._remove(project)
        elif params.flag("permanently_remove"):
            self._remove_for_good(project, params.text("full_path"))
        elif project.marked_for_deletion_on is None:
            self._mark_for_deletion(project)
        return as_json({"message": "202 Accepted"}, 202)

    @property
    def _version(self) -> tuple[int, ...]:
        return tuple(int(part) for part in self.config.gitlab_version.split(".")[:2])

    def suffix(self, project: Project) -> str:
        """Return what a deletion adds to name and path."""
        return f"-{'deleted' if self._version < (18, 1) else 'deletion_scheduled'}-{project.id}"

    def _mark_for_deletion(self, project: Project) -> None:
        """Mark, archive and rename; the old path redirects here until a new project takes it."""
        self.state.redirects[self.state.full_path(project).lower()] = project.id
        project.name += self.suffix(project)
        project.path += self.suffix(project)
        project.archived = True
        project.forked_from = None
        project.marked_for_deletion_on = datetime.now(UTC).date().isoformat()

    def _remove_for_good(self, project: Project, full_path: str | None) -> None:
        if project.marked_for_deletion_on is None:
            refuse(400, "Project must be marked for deletion first.")
        if full_path != self.state.full_path(project):
            refuse(400, "`full_path` is incorrect. You must enter the complete path for the project.")
        if not self.config.gitlab_immediate_deletion:
            refuse(403, "403 Forbidden")  # GitLab's text for this is not documented
        self._remove(project)

    def _remove(self, project: Project) -> None:
        """Schedule the removal; until then the project is shown unchanged."""
        if not project.removing:
            project.removing = True
            self.background.after(self.config.fork_s, lambda: self.erase(project))

    def end_retention(self) -> None:
        """Remove what is marked for deletion, as GitLab does after the retention period."""
        for project in [p for p in self.state.projects.values() if p.marked_for_deletion_on]:
            self.erase(project)

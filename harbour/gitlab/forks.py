"""Forks: checks at once, import and protection in the background."""

from __future__ import annotations

from werkzeug.wrappers import Request, Response

from harbour import repository
from harbour.gitlab import rules
from harbour.gitlab.errors import Params, as_json, empty, refuse
from harbour.gitlab.model import MAINTAINER, Branch, Project
from harbour.gitlab.project_edits import ProjectEdits
from harbour.gitlab.projects import PROJECT
from harbour.server import route

VISIBILITIES = ("private", "internal", "public")


class Forks(ProjectEdits):
    """A fork is a row at once (`scheduled`), a repository later (`finished`), and protected later still."""

    @route("POST", f"{PROJECT}/fork")
    def fork(self, request: Request, project_id: str) -> Response:
        source, params = self.find_project(request, project_id), Params(request)
        if source.forking == "disabled":  # for administrators, too
            refuse(404, "404 Not Found")
        project = self._new_fork(source, params)
        problems = rules.project_problems(project.name, project.path) or self._name_conflicts(project)
        if problems:
            refuse(409, problems)
        project.id = self.state.next_id("project")
        self.state.projects[project.id] = project
        self.state.redirects.pop(self.state.full_path(project).lower(), None)
        self.resume_import(project)
        return as_json(self.views.project(project), 201)

    def _new_fork(self, source: Project, params: Params) -> Project:
        """Return the fork as requested, still without an id. Raises the errors that are not part of the joint 409."""
        visibility = params.choice("visibility", VISIBILITIES, source.visibility)
        namespace_id = self._target_namespace(params)
        branches = params.text("branches")
        if branches and branches not in repository.branches(self.repository(source)):
            refuse(404, "404 Source Branch Not Found")
        return Project(
            id=0,
            namespace_id=namespace_id,
            name=params.text("name") or source.name,
            path=params.text("path") or source.path,
            creator_id=self.caller().id,
            visibility=self._allowed_visibility(visibility, source, namespace_id),
            description=params.text("description") if "description" in params else source.description,
            forked_from=source.id,
            import_source=source.id,
            import_status="scheduled",
            settled=False,
            mr_default_target_self=params.flag("mr_default_target_self"),
        )

    def _target_namespace(self, params: Params) -> int:
        """Return the namespace of the fork; the caller's personal one by default."""
        given = params.given("namespace_id", "namespace_path", "namespace")
        if not given:
            return self.caller().namespace_id
        key = str(params.get(given[0]))
        by_id = given[0] == "namespace_id" or (given[0] == "namespace" and key.isdigit())
        found = params.number(given[0]) if by_id else self.state.namespace_at(key)
        if found is None or not self.state.has_namespace(found):
            refuse(404, "404 Namespace Not Found")
        return found

    def _name_conflicts(self, wanted: Project) -> list[str]:
        """Return the messages about a name or a path that is in use in the namespace, whatever its letter case."""
        inside = [p for p in self.state.projects.values() if p.namespace_id == wanted.namespace_id]
        problems = []
        if any(project.name.lower() == wanted.name.lower() for project in inside):
            problems += ["Project namespace name has already been taken", "Name has already been taken"]
        if any(project.path.lower() == wanted.path.lower() for project in inside):
            problems.append("Path has already been taken")
        return problems

    def _allowed_visibility(self, wanted: str, source: Project, namespace_id: int) -> str:
        """Lower a visibility to what the source and the target group allow, without an error."""
        ceiling = "private" if namespace_id in self.state.groups else "public"
        return min(wanted, source.visibility, ceiling, key=VISIBILITIES.index)

    # -- in the background -----------------------------------------------------------------------------------

    def resume_import(self, project: Project) -> None:
        """Schedule the rest of a fork: on creation, and again after a restart."""
        if project.import_status == "finished":
            self.background.after(self.config.fork_s / 2, lambda: self._protect(project))
            return
        self.background.after(self.config.fork_s / 2, lambda: self._begin(project))
        self.background.after(self.config.fork_s, lambda: self._import(project))

    def _begin(self, project: Project) -> None:
        with self.lock:
            project.import_status = "started"
        self.save()

    def _import(self, project: Project) -> None:
        """Copy the repository; `finished` is visible before the default branch is protected, as in GitLab."""
        with self.lock:
            if project.id not in self.state.projects:
                return
            source = self.state.projects.get(project.import_source)
            error = self.import_errors.pop(0) if self.import_errors else None
            if error or source is None:
                project.import_status, project.settled = "failed", True
                project.import_error = error or "The source project is gone."
            else:
                repository.copy(self.repository(source), self.repository(project))
                project.default_branch = source.default_branch
                project.import_status = "finished"
                self.background.after(self.config.fork_s / 2, lambda: self._protect(project))
        self.save()

    def _protect(self, project: Project) -> None:
        """Protect the default branch unless it is protected already."""
        with self.lock:
            project.settled = True
            name = project.default_branch  # None after the copy of an empty repository
            if name and not any(branch.name == name for branch in project.branches):
                project.branches.append(self.new_branch(name, push=[MAINTAINER], merge=[MAINTAINER]))
        self.save()

    def new_branch(self, name: str, *, push: list[int], merge: list[int]) -> Branch:
        """Return the protection of a branch, with new ids for it and its access levels."""
        return Branch(
            id=self.state.next_id("branch"),
            name=name,
            push=[self.new_level(level) for level in push],
            merge=[self.new_level(level) for level in merge],
        )

    def new_level(self, level: int) -> dict[str, int]:
        return {"id": self.state.next_id("access_level"), "access_level": level}

    # -- reading the import, removing the relation -----------------------------------------------------------

    @route("GET", f"{PROJECT}/import")
    def get_import(self, request: Request, project_id: str) -> Response:
        project = self.find_project(request, project_id)
        view = self.views.project(project)
        keys = ("id", "name", "path_with_namespace", "created_at", "import_status", "import_error")
        answer = {key: view[key] for key in keys} | {"failed_relations": [], "correlation_id": None}
        return as_json(answer)

    @route("DELETE", f"{PROJECT}/fork")
    def remove_fork_relation(self, request: Request, project_id: str) -> Response:
        project = self.find_project(request, project_id)
        if project.forked_from is None:
            return empty(304)
        project.forked_from = None
        return empty(204)

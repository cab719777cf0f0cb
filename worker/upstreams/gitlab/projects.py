"""GitLab's repositories: forks, their import, their branches. Their removal is in `removals.py`.

fork      marker: a line of the `description`; the id that the ledger recorded is as good. The origin may be lost:
          GitLab unlinks forks when their template is deleted
branch    no marker: the access levels are its whole state
"""

from __future__ import annotations

from collections.abc import Callable

from common.errors import ActionBy, Conflict
from worker.upstreams.base import Api
from worker.upstreams.error_text import cleaned
from worker.upstreams.gitlab.errors import is_locked, is_moved
from worker.upstreams.gitlab.schemas import (
    DEVELOPER,
    Branch,
    BranchSchema,
    Project,
    ProjectSchema,
    ProtectionSchema,
    project_of,
    same_path,
)
from worker.upstreams.marker import is_line_of

POLL_S = 2.0
_IMPORT_FAILED = frozenset({"failed", "canceled"})


class Projects:
    """The projects of one GitLab."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def find(self, path: str) -> Project | None:
        """Return the project at the full `path`, None when the place is free.

        GitLab's redirect and a project that is marked for deletion leave the place free: since GitLab 18 a deleted
        project is renamed and its old path points to the remains. Raises Permanent for a redirect of somebody else's,
        and for a repository whose address is not on GitLab.
        Source: GitLab projects API, "Get a single project".
        """
        project = self._at_path(path)
        return self._with_own_address(project) if project else None

    def find_id(self, path: str) -> int | None:
        """Return the id of the project that `find` would return, wherever GitLab says that its repository is."""
        project = self._at_path(path)
        return project.id if project else None

    def get(self, path: str) -> Project:
        """Return the project at the full `path`. Raises Permanent when there is none."""
        project = self.find(path)
        if project is None:
            raise self._api.permanent(f"GitLab shows us no project {path}")
        return project

    def find_by_id(self, project_id: int) -> ProjectSchema | None:
        """Return the project with this id wherever it is, also one that is marked for deletion."""
        reply = self._api.send("GET", "projects", str(project_id))
        if reply.status not in (200, 404):
            raise self._api.failed(reply, f"reading the project {project_id}")
        return reply.read_as(ProjectSchema) if reply.status == 200 else None

    # -- forks ------------------------------------------------------------------------------------------------

    def ensure_fork(
        self,
        template: str,
        *,
        namespace: str,
        path: str,
        marker: str,
        on_create: Callable[[], None],
        known_id: int | None = None,
    ) -> Project:
        """Return the project `namespace/path`, forking `template` (full path or id) into it when absent.

        The copy is made in the background: see `await_import`. Safe to repeat: a project that carries `marker`, or that
        the ledger knows by `known_id`, is ours; whether GitLab still knows its origin is in `is_fork`. Its merge
        requests go to itself. Raises Conflict when the place or the name holds anything else, Permanent when the
        template is missing or empty, the namespace is missing or the name is refused, Transient while GitLab is locked.
        Source: GitLab projects API, "Fork a project".
        """
        wanted = f"{namespace}/{path}"
        project = self._at_path(wanted)
        if project is None:
            self._require_contents(template)
            on_create()
            fork = {
                "name": path,
                "path": path,
                "namespace_path": namespace,
                "description": marker,
                "mr_default_target_self": True,
            }
            reply = self._api.send("POST", "projects", template, "fork", json=fork)
            if reply.status == 201:
                made = self._targeting_itself(reply.read_as(ProjectSchema))
                return project_of(made, found=False, template=template)
            project = self._at_path(wanted) if reply.status == 409 else None
            if project is None and reply.status == 409 and not is_locked(reply):
                self._require_free_name(namespace, path)
            if project is None:
                raise self._api.failed(reply, f"forking {template} to {wanted}")
        if not (is_line_of(project.description, marker) or project.id == known_id):
            reason = f"GitLab already has a project {project.path_with_namespace}, and we did not make it"
            raise self._api.conflict(reason, "choose another name", "move that project away and retry")
        return project_of(self._targeting_itself(project), found=True, template=template)

    def _require_contents(self, template: str) -> None:
        """Check that there is something to fork: the copy of an empty repository stays empty, without an error."""
        reply = self._api.send("GET", "projects", template)
        if reply.status != 200 and not is_moved(reply):
            raise self._api.failed(reply, f"reading the template {template}")
        if reply.status == 200 and reply.read_as(ProjectSchema).empty_repo:
            raise self._api.permanent(f"The template {template} is empty: push its contents to GitLab, then retry")

    def _require_free_name(self, namespace: str, name: str) -> None:
        """Raise Conflict when a project of the group has this name at another path: a renamed or a deleted one.

        GitLab says so in the language of our token's owner only. Source: GitLab groups API, "List projects".
        """
        wanted: dict[str, str | int] = {"search": name, "per_page": 100, "with_shared": "false"}
        reply = self._api.send("GET", "groups", namespace, "projects", params=wanted)
        projects = reply.read_as(list[ProjectSchema]) if reply.status == 200 else []
        holder = next((each for each in projects if _has_name(each, namespace, name)), None)
        if holder is not None:
            raise self._name_conflict(holder, name)

    def _name_conflict(self, holder: ProjectSchema, name: str) -> Conflict:
        if holder.marked_for_deletion_on:
            reason = f"GitLab keeps the deleted project {holder.path_with_namespace} under this name"
            return self._api.conflict(reason, "choose another name", "remove it for good on GitLab and retry")
        reason = f"On GitLab, the project {holder.path_with_namespace} has the name {name}"
        return self._api.conflict(reason, "choose another name", "rename that project on GitLab and retry")

    def _targeting_itself(self, project: ProjectSchema) -> ProjectSchema:
        """Let new merge requests of a fork go to itself: by default they go to its origin, with the team's code.

        A GitLab that does not know the attribute does not show it, nor does a project that is no fork.
        Source: GitLab projects API, "Edit a project": `mr_default_target_self`.
        """
        if project.mr_default_target_self is not False:
            return project
        reply = self._api.send("PUT", "projects", str(project.id), json={"mr_default_target_self": True})
        if reply.status != 200:
            raise self._api.failed(reply, f"setting the target of merge requests of {project.path_with_namespace}")
        return project

    def await_import(self, project_id: int) -> Project:
        """Return the project once its repository is copied. Raises NotYet until then, Permanent when it failed.

        It failed, too, when it is over and there is nothing: the template is empty.
        The protection of the default branch may come later still: see `ensure_branch_open`.
        Source: GitLab project import API, "Import status".
        """
        reply = self._api.send("GET", "projects", str(project_id))
        if reply.status != 200:
            raise self._api.failed(reply, f"waiting for the copy of project {project_id}")
        project = reply.read_as(ProjectSchema)
        path = project.path_with_namespace
        if project.import_status in _IMPORT_FAILED:
            why = cleaned(project.import_error or "no reason given")
            reason = f"GitLab could not copy the template into {path}: {why}"
            raise self._api.permanent(reason, ActionBy.UPSTREAM)
        if project.import_status == "finished" and project.empty_repo:
            if project.forked_from_project:
                self._require_contents(str(project.forked_from_project.id))
            raise self._api.not_yet(f"GitLab shows no commit in {path} yet, though it is copied", retry_after_s=POLL_S)
        if project.import_status != "finished" or not project.default_branch:
            status = cleaned(project.import_status or "unknown")
            reason = f"GitLab is copying the template into {path} ({status})"
            raise self._api.not_yet(reason, retry_after_s=POLL_S)
        return self._with_own_address(project)

    def _with_own_address(self, project: ProjectSchema) -> Project:
        """Check where the repository is: Jenkins and Argo CD go there, and take a token along."""
        self._api.require_own(project.http_url_to_repo, "the repository")
        return project_of(project, found=True)

    def _at_path(self, path: str) -> ProjectSchema | None:
        reply = self._api.send("GET", "projects", path)
        if reply.status == 404 or is_moved(reply):
            return None
        if reply.status != 200:
            raise self._api.failed(reply, f"reading the project {path}")
        project = reply.read_as(ProjectSchema)
        is_there = same_path(project.path_with_namespace, path) and not project.marked_for_deletion_on
        return project if is_there else None

    # -- branches ---------------------------------------------------------------------------------------------

    def get_branch(self, project_id: int, branch: str) -> Branch | None:
        """Return a branch with its newest commit, None when the repository has no such branch.

        Raises Permanent when there is no such project. Source: GitLab branches API, "Get single repository branch".
        """
        reply = self._api.send("GET", "projects", str(project_id), "repository", "branches", branch)
        if reply.status == 404 and self.find_by_id(project_id):
            return None
        found = self._api.expect(reply, f"reading the branch {branch}").read_as(BranchSchema)
        return Branch(name=found.name, commit_id=found.commit.id, is_default=found.default)

    def ensure_branch_open(
        self,
        project_id: int,
        branch: str,
        *,
        on_unprotect: Callable[[], None] = lambda: None,
        on_answer: Callable[[], None] = lambda: None,
    ) -> None:
        """Let developers push to and merge into `branch`, and nobody force a push.

        `on_unprotect` is called before another protection is lifted, `on_answer` once no request to lift it can arrive
        any more: a late one would leave the branch without any.

        Works on every edition, without PATCH: that is answered with 200 and no change on some. Safe to repeat.
        Raises NotYet when GitLab's own protection, which comes after the import, was set in between.
        Source: GitLab protected branches API; it has no update that all editions know.
        """
        protection = self._protection(project_id, branch)
        if protection and protection.is_open_to_developers:
            return
        if protection:
            on_unprotect()
            self._unprotect(project_id, branch, on_answer)
        else:
            on_answer()
        self._protect(project_id, branch)
        protection = self._protection(project_id, branch)
        if not (protection and protection.is_open_to_developers):
            reason = f"GitLab has set its own protection on the branch {branch} in the meantime"
            raise self._api.not_yet(reason, retry_after_s=1.0)

    def _unprotect(self, project_id: int, branch: str, on_answer: Callable[[], None]) -> None:
        reply = self._api.send("DELETE", "projects", str(project_id), "protected_branches", branch)
        if reply.status < 500:  # above, a proxy may have answered, and GitLab still be at it
            on_answer()
        if reply.status not in (204, 404):
            raise self._api.failed(reply, f"unprotecting the branch {branch}")

    def _protect(self, project_id: int, branch: str) -> None:
        """Ask for our levels. A 409 is no failure yet: what counts is what is there afterwards."""
        levels = {"push_access_level": DEVELOPER, "merge_access_level": DEVELOPER, "allow_force_push": False}
        reply = self._api.send(
            "POST", "projects", str(project_id), "protected_branches", json={"name": branch, **levels}
        )
        if reply.status not in (201, 409) or is_locked(reply):
            raise self._api.failed(reply, f"opening the branch {branch}")

    def _protection(self, project_id: int, branch: str) -> ProtectionSchema | None:
        reply = self._api.send("GET", "projects", str(project_id), "protected_branches", branch)
        if reply.status not in (200, 404):
            raise self._api.failed(reply, f"reading the protection of the branch {branch}")
        return reply.read_as(ProtectionSchema) if reply.status == 200 else None


def _has_name(project: ProjectSchema, namespace: str, name: str) -> bool:
    is_inside = same_path(project.path_with_namespace.rpartition("/")[0], namespace)
    slug = project.path_with_namespace.rpartition("/")[2]
    return is_inside and (same_path(project.name or "", name) or same_path(slug, name))

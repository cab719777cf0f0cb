"""GitLab's repositories: forks, their import, their branches, their removal.

fork      marker: a line of the `description`, and the origin must be the template
branch    no marker: the access levels are its whole state
removal   gone, or scheduled to go: since GitLab 18 that takes two calls, and an instance may forbid the second
"""

from __future__ import annotations

import re
from collections.abc import Callable

from common.errors import ActionBy, NotYet
from worker.upstreams.base import Api
from worker.upstreams.error_text import cleaned, reason_in
from worker.upstreams.gitlab.errors import is_locked, not_ours
from worker.upstreams.gitlab.schemas import (
    DEVELOPER,
    Project,
    ProjectSchema,
    ProtectionSchema,
    carries,
    project_of,
    same_path,
)

POLL_S = 2.0
_IMPORT_FAILED = frozenset({"failed", "canceled"})


class Projects:
    """The projects of one GitLab."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def find(self, path: str) -> Project | None:
        """Return the project at the full `path`, None when the place is free.

        A redirect and a project that is marked for deletion leave the place free: since GitLab 18 a deleted project
        is renamed and its old path points to the remains. Source: GitLab projects API, "Get a single project".
        """
        project = self._at_path(path)
        return project_of(project, found=True) if project else None

    def get(self, path: str) -> Project:
        """Return the project at the full `path`. Raises Permanent when there is none."""
        project = self.find(path)
        if project is None:
            raise self._api.permanent(f"GitLab shows us no project {path}")
        return project

    def ensure_fork(
        self, template: str, *, namespace: str, path: str, marker: str, on_create: Callable[[], None]
    ) -> Project:
        """Return the project `namespace/path`, forking `template` (full path or id) into it when absent.

        The copy is made in the background: see `await_import`. Safe to repeat: a fork of the same template that
        carries `marker` is ours. Raises Conflict when the place holds anything else, Permanent when the template or
        the namespace is missing or the name is refused, Transient while GitLab is locked.
        Source: GitLab projects API, "Fork a project".
        """
        wanted = f"{namespace}/{path}"
        project = self._at_path(wanted)
        if project is None:
            on_create()
            fork = {"name": path, "path": path, "namespace_path": namespace, "description": marker}
            reply = self._api.send("POST", "projects", template, "fork", json=fork)
            if reply.status == 201:
                return project_of(reply.read_as(ProjectSchema), found=False)
            project = self._at_path(wanted) if reply.status == 409 else None
            if project is None:
                raise self._api.failed(reply, f"forking {template} to {wanted}")
        return self._our_fork(project, template, marker)

    def await_import(self, project_id: int) -> Project:
        """Return the project once its repository is copied. Raises NotYet until then, Permanent when it failed.

        The protection of the default branch may come later still: see `ensure_branch_open`.
        Source: GitLab project import API, "Import status".
        """
        reply = self._api.send("GET", "projects", str(project_id))
        if reply.status != 200:
            raise self._api.failed(reply, f"waiting for the copy of project {project_id}")
        project = reply.read_as(ProjectSchema)
        if project.import_status in _IMPORT_FAILED:
            why = cleaned(project.import_error or "no reason given")
            reason = f"GitLab could not copy the template into {project.path_with_namespace}: {why}"
            raise self._api.permanent(reason, ActionBy.UPSTREAM)
        if project.import_status != "finished" or not project.default_branch:
            status = cleaned(project.import_status or "unknown")
            reason = f"GitLab is copying the template into {project.path_with_namespace} ({status})"
            raise self._api.not_yet(reason, retry_after_s=POLL_S)
        return project_of(project, found=True)

    def _at_path(self, path: str) -> ProjectSchema | None:
        reply = self._api.send("GET", "projects", path)
        if reply.status in (301, 404):
            return None
        if reply.status != 200:
            raise self._api.failed(reply, f"reading the project {path}")
        project = reply.read_as(ProjectSchema)
        is_there = same_path(project.path_with_namespace, path) and not project.marked_for_deletion_on
        return project if is_there else None

    def _our_fork(self, project: ProjectSchema, template: str, marker: str) -> Project:
        if project.is_fork_of(template) and carries(project.description, marker):
            return project_of(project, found=True)
        reason = f"GitLab already has a project {project.path_with_namespace}, and we did not make it"
        raise self._api.conflict(reason, "choose another name", "move that project away and retry")

    def remove(self, project_id: int, *, path: str, marker: str) -> bool:
        """Return True once the project is gone, or scheduled to go, and its full `path` is free.

        Up to GitLab 17 one call removes. Since 18 it marks, archives and renames, and a second one removes for good;
        where the instance forbids that, the remains wait under their new name for the end of its retention.
        Safe to repeat. Raises NotYet while GitLab removes it, Conflict when the project is at another path or without
        `marker`, Permanent with GitLab's reason when it refuses: images in the registry of the project.
        Source: GitLab projects API, "Delete a project".
        """
        project = self._by_id(project_id)
        if project and not project.marked_for_deletion_on:
            self._require_ours(project, path, marker)
            self._start_deletion(project)
            project = self._by_id(project_id)
        if project and not project.marked_for_deletion_on:
            raise self._still_removing(path)
        if project and _is_remains(project, path, marker):  # others' remains wait for the end of their retention
            self._finish_deletion(project, path)
        return True

    def _by_id(self, project_id: int) -> ProjectSchema | None:
        reply = self._api.send("GET", "projects", str(project_id))
        if reply.status not in (200, 404):
            raise self._api.failed(reply, f"reading the project {project_id}")
        return reply.read_as(ProjectSchema) if reply.status == 200 else None

    def _require_ours(self, project: ProjectSchema, path: str, marker: str) -> None:
        if not (same_path(project.path_with_namespace, path) and carries(project.description, marker)):
            reason = f"GitLab's project {project.path_with_namespace} was moved, or its description lacks our marker"
            raise not_ours(self._api, reason, "remove it on GitLab and retry")

    def _start_deletion(self, project: ProjectSchema) -> None:
        reply = self._api.send("DELETE", "projects", str(project.id))
        if reply.status == 400:
            reason = f"GitLab does not remove {project.path_with_namespace}: {reason_in(reply.body)}"
            raise self._api.permanent(reason, ActionBy.USER)
        if reply.status not in (202, 404):
            raise self._api.failed(reply, f"removing the project {project.path_with_namespace}")

    def _finish_deletion(self, project: ProjectSchema, path: str) -> None:
        """Remove what is marked. GitLab wants its present path, and may want to keep it until the retention is over."""
        present = {"permanently_remove": "true", "full_path": project.path_with_namespace}
        reply = self._api.send("DELETE", "projects", str(project.id), params=present)
        if reply.status not in (202, 400, 403, 404):
            raise self._api.failed(reply, f"removing the project {project.path_with_namespace} for good")
        is_kept = reply.status in (400, 403)
        left = self.find(path) if is_kept else self._by_id(project.id)
        if left and left.id == project.id:
            raise self._still_removing(path)

    def _still_removing(self, path: str) -> NotYet:
        return self._api.not_yet(f"GitLab is removing the project {path}", retry_after_s=POLL_S)

    def ensure_branch_open(self, project_id: int, branch: str) -> None:
        """Let developers push to and merge into `branch`, and nobody force a push.

        Works on every edition, without PATCH: that is answered with 200 and no change on some. Safe to repeat.
        Raises NotYet when GitLab's own protection, which comes after the import, was set in between.
        Source: GitLab protected branches API; it has no update that all editions know.
        """
        protection = self._protection(project_id, branch)
        if protection and protection.is_open_to_developers:
            return
        if protection:
            self._unprotect(project_id, branch)
        self._protect(project_id, branch)
        protection = self._protection(project_id, branch)
        if not (protection and protection.is_open_to_developers):
            reason = f"GitLab has set its own protection on the branch {branch} in the meantime"
            raise self._api.not_yet(reason, retry_after_s=1.0)

    def _unprotect(self, project_id: int, branch: str) -> None:
        reply = self._api.send("DELETE", "projects", str(project_id), "protected_branches", branch)
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


def _is_remains(project: ProjectSchema, path: str, marker: str) -> bool:
    """Say whether this is what GitLab left of our project at `path`: since 18 it has a suffix that ends in its id."""
    suffix = rf"(-[a-z_]+-{project.id})?"
    was_here = re.fullmatch(re.escape(path) + suffix, project.path_with_namespace, re.IGNORECASE)
    return was_here is not None and carries(project.description, marker)

"""How do repositories get onto GitLab: forks, their import, their branches?

fork     marker: a line of the `description`, and the origin must be the template
branch   no marker: the access levels are its whole state
"""

from __future__ import annotations

from collections.abc import Callable

from common.errors import ActionBy, Conflict, NotYet, Permanent
from worker.upstreams.error_text import cleaned
from worker.upstreams.gitlab.base import Edge, is_locked
from worker.upstreams.gitlab.schemas import (
    DEVELOPER,
    Project,
    ProjectRow,
    ProtectionRow,
    carries,
    project_of,
    same_path,
)

POLL_S = 2.0
_IMPORT_FAILED = frozenset({"failed", "canceled"})


class Projects(Edge):
    """The half of the client that provisions repositories."""

    def find_project(self, path: str) -> Project | None:
        """Return the project at the full `path`, None when the place is free.

        A redirect and a project that is marked for deletion leave the place free: since GitLab 18 a deleted project
        is renamed and its old path points to the remains. Source: GitLab projects API, "Get a single project".
        """
        row = self._project_row(path)
        return project_of(row, found=True) if row else None

    def get_project(self, path: str) -> Project:
        """Return the project at the full `path`. Raises Permanent when there is none."""
        project = self.find_project(path)
        if project is None:
            raise Permanent(f"GitLab shows us no project {path}", upstream=self._http.name)
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
        row = self._project_row(wanted)
        if row is None:
            on_create()
            fork = {"name": path, "path": path, "namespace_path": namespace, "description": marker}
            reply = self._send("POST", "projects", template, "fork", json=fork)
            if reply.status == 201:
                return project_of(reply.read_as(ProjectRow), found=False)
            row = self._project_row(wanted) if reply.status == 409 else None
            if row is None:
                raise self._failed(reply, f"forking {template} to {wanted}")
        return self._our_fork(row, template, marker)

    def await_import(self, project_id: int) -> Project:
        """Return the project once its repository is copied. Raises NotYet until then, Permanent when it failed.

        The protection of the default branch may come later still: see `ensure_branch_open`.
        Source: GitLab project import API, "Import status".
        """
        reply = self._send("GET", "projects", str(project_id))
        if reply.status != 200:
            raise self._failed(reply, f"waiting for the copy of project {project_id}")
        row = reply.read_as(ProjectRow)
        if row.import_status in _IMPORT_FAILED:
            why = cleaned(row.import_error or "no reason given")
            reason = f"GitLab could not copy the template into {row.path_with_namespace}: {why}"
            raise Permanent(reason, action_by=ActionBy.UPSTREAM, upstream=self._http.name)
        if row.import_status != "finished" or not row.default_branch:
            status = cleaned(row.import_status or "unknown")
            reason = f"GitLab is copying the template into {row.path_with_namespace} ({status})"
            raise NotYet(reason, retry_after_s=POLL_S, upstream=self._http.name)
        return project_of(row, found=True)

    def _project_row(self, path: str) -> ProjectRow | None:
        reply = self._send("GET", "projects", path)
        if reply.status in (301, 404):
            return None
        if reply.status != 200:
            raise self._failed(reply, f"looking for the project {path}")
        row = reply.read_as(ProjectRow)
        is_there = same_path(row.path_with_namespace, path) and not row.marked_for_deletion_on
        return row if is_there else None

    def _our_fork(self, row: ProjectRow, template: str, marker: str) -> Project:
        if row.is_fork_of(template) and carries(row.description, marker):
            return project_of(row, found=True)
        raise Conflict(
            f"GitLab already has a project {row.path_with_namespace}, and we did not make it",
            choices=("choose another name", "move that project away and retry"),
            upstream=self._http.name,
        )

    def ensure_branch_open(self, project_id: int, branch: str) -> None:
        """Let developers push to and merge into `branch`, and nobody force a push.

        Works on every edition, without PATCH: that is answered with 200 and no change on some. Safe to repeat.
        Raises NotYet when GitLab's own protection, which comes after the import, was put in between.
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
            reason = f"GitLab put its own protection on the branch {branch} meanwhile"
            raise NotYet(reason, retry_after_s=1.0, upstream=self._http.name)

    def _unprotect(self, project_id: int, branch: str) -> None:
        reply = self._send("DELETE", "projects", str(project_id), "protected_branches", branch)
        if reply.status not in (204, 404):
            raise self._failed(reply, f"unprotecting the branch {branch}")

    def _protect(self, project_id: int, branch: str) -> None:
        """Ask for our levels. A 409 is no failure yet: what counts is what is there afterwards."""
        levels = {"push_access_level": DEVELOPER, "merge_access_level": DEVELOPER, "allow_force_push": False}
        reply = self._send("POST", "projects", str(project_id), "protected_branches", json={"name": branch, **levels})
        if reply.status not in (201, 409) or is_locked(reply):
            raise self._failed(reply, f"opening the branch {branch}")

    def _protection(self, project_id: int, branch: str) -> ProtectionRow | None:
        reply = self._send("GET", "projects", str(project_id), "protected_branches", branch)
        if reply.status not in (200, 404):
            raise self._failed(reply, f"looking at the branch {branch}")
        return reply.read_as(ProtectionRow) if reply.status == 200 else None

"""How does what we made leave GitLab again, and nothing else with it?

project  gone, or scheduled to go: since GitLab 18 that takes two calls, and an instance may forbid the second
member   gone from this one group; what somebody granted in its subgroups and projects stays
user     blocked, which can be undone. There is no removal on purpose: GitLab takes every project of the person's own
         namespace along, and with `hard_delete` every group that nobody else owns
"""

from __future__ import annotations

import re

from common.errors import ActionBy, NotYet, Permanent, Transient
from worker.upstreams.error_text import reason_in
from worker.upstreams.gitlab.accounts import People
from worker.upstreams.gitlab.projects import POLL_S, Projects
from worker.upstreams.gitlab.schemas import ProjectRow, UserRow, carries, same_path

_BLOCKED = frozenset({"blocked", "ldap_blocked", "blocked_pending_approval", "banned"})  # a block changes none of them


class Removal(People, Projects):
    """The part of the client that undoes what the others did."""

    def remove_project(self, project_id: int, *, path: str, marker: str) -> bool:
        """Return True once the project is gone, or scheduled to go, and its full `path` is free.

        Up to GitLab 17 one call removes. Since 18 it marks, archives and renames, and a second one removes for good;
        where the instance forbids that, the remains wait under their new name for the end of its retention.
        Safe to repeat. Raises NotYet while GitLab is at it, Conflict when the project is at another path or without
        `marker`, Permanent with GitLab's reason when it refuses: images in the registry of the project.
        Source: GitLab projects API, "Delete a project".
        """
        row = self._row_by_id(project_id)
        if row and not row.marked_for_deletion_on:
            self._require_ours(row, path, marker)
            self._start_deletion(row)
            row = self._row_by_id(project_id)
        if row and not row.marked_for_deletion_on:
            raise self._still_removing(path)
        if row and _is_remains(row, path, marker):  # others' remains wait for the end of their retention
            self._finish_deletion(row, path)
        return True

    def _row_by_id(self, project_id: int) -> ProjectRow | None:
        reply = self._send("GET", "projects", str(project_id))
        if reply.status not in (200, 404):
            raise self._failed(reply, f"looking for the project {project_id}")
        return reply.read_as(ProjectRow) if reply.status == 200 else None

    def _require_ours(self, row: ProjectRow, path: str, marker: str) -> None:
        if not (same_path(row.path_with_namespace, path) and carries(row.description, marker)):
            reason = f"GitLab's project {row.path_with_namespace} was moved, or its description lacks our marker"
            raise self._taken(reason, "remove it on GitLab and retry")

    def _start_deletion(self, row: ProjectRow) -> None:
        reply = self._send("DELETE", "projects", str(row.id))
        if reply.status == 400:
            reason = f"GitLab does not remove {row.path_with_namespace}: {reason_in(reply.body)}"
            raise Permanent(reason, action_by=ActionBy.USER, upstream=self._http.name)
        if reply.status not in (202, 404):
            raise self._failed(reply, f"removing the project {row.path_with_namespace}")

    def _finish_deletion(self, row: ProjectRow, path: str) -> None:
        """Remove what is marked. GitLab wants its present path, and may want to keep it until the retention is over."""
        present = {"permanently_remove": "true", "full_path": row.path_with_namespace}
        reply = self._send("DELETE", "projects", str(row.id), params=present)
        if reply.status not in (202, 400, 403, 404):
            raise self._failed(reply, f"removing the project {row.path_with_namespace} for good")
        is_kept = reply.status in (400, 403)
        left = self.find_project(path) if is_kept else self._row_by_id(row.id)
        if left and left.id == row.id:
            raise self._still_removing(path)

    def _still_removing(self, path: str) -> NotYet:
        return NotYet(f"GitLab is removing the project {path}", retry_after_s=POLL_S, upstream=self._http.name)

    def remove_member(self, group_path: str, user_id: int) -> bool:
        """Return True once the user is no direct member of the group; memberships below it are left alone.

        Safe to repeat. Raises Permanent when there is no such group: under another path, it would still have the
        member. Source: GitLab members API, "Remove a member".
        """
        group = self.get_group(group_path)
        if self._member_row(group, user_id) is None:
            return True
        only_here = {"skip_subresources": "true"}
        reply = self._send("DELETE", "groups", str(group.id), "members", str(user_id), params=only_here)
        if reply.status not in (204, 404):
            raise self._failed(reply, f"removing a member of {group_path}")
        if self._member_row(group, user_id):
            raise Transient(f"GitLab still shows the member that left {group_path}", upstream=self._http.name)
        return True

    def block_user(self, user_id: int, *, login: str, marker: str) -> bool:
        """Return True once the user cannot sign in: blocked, or gone.

        Safe to repeat. Raises Conflict when the user has another name or lacks `marker`.
        Source: GitLab users API, "Block a user".
        """
        row = self._user_by_id(user_id)
        if row is None:
            return True
        if not (same_path(row.username, login) and carries(row.note, marker)):
            raise self._taken(f"GitLab's user {row.username} was renamed, or we did not make it", "block it on GitLab")
        if row.state in _BLOCKED:
            return True
        reply = self._send("POST", "users", str(user_id), "block")
        if reply.status != 201:
            raise self._failed(reply, f"blocking the user {login}")
        row = self._user_by_id(user_id)
        if row and row.state not in _BLOCKED:
            raise Transient(f"GitLab does not show the user {login} as blocked", upstream=self._http.name)
        return True

    def _user_by_id(self, user_id: int) -> UserRow | None:
        reply = self._send("GET", "users", str(user_id))
        if reply.status not in (200, 404):
            raise self._failed(reply, f"looking for the user {user_id}")
        return reply.read_as(UserRow) if reply.status == 200 else None


def _is_remains(row: ProjectRow, path: str, marker: str) -> bool:
    """Say whether this is what GitLab left of our project at `path`: since 18 it has a suffix that ends in its id."""
    suffix = rf"(-[a-z_]+-{row.id})?"
    was_here = re.fullmatch(re.escape(path) + suffix, row.path_with_namespace, re.IGNORECASE)
    return was_here is not None and carries(row.description, marker)

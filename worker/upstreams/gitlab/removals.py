"""The removal of GitLab's projects. The repository is ours, the commits are not: they stay for as long as GitLab keeps.

GitLab 18 and later    a deletion marks, archives and renames; the project can be restored until its retention is over
GitLab 17              a deletion is final, so the project is renamed and archived instead, and stays
purge                  removes for good, where GitLab lets us: since 18 that takes a second call

The path is free in each case.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta

from common.errors import ActionBy, NotYet
from worker.upstreams.adapter import Remains
from worker.upstreams.base import Api
from worker.upstreams.error_text import reason_in
from worker.upstreams.gitlab.errors import is_own_denial, not_ours
from worker.upstreams.gitlab.projects import POLL_S, Projects
from worker.upstreams.gitlab.schemas import ProjectSchema, same_path
from worker.upstreams.marker import is_line_of

KEEPING = (18,)  # the first version that keeps what is deleted, whatever its licence

_LEADING_NUMBER = re.compile(r"\d{1,6}")


@dataclass(frozen=True)
class VersionSchema:
    version: str


@dataclass(frozen=True)
class SettingsSchema:
    deletion_adjourned_period: int | None = None


class Removals:
    """Removes the projects of one GitLab."""

    def __init__(self, api: Api, projects: Projects) -> None:
        self._api = api
        self._projects = projects

    def remove(
        self, project_id: int, *, path: str, marker: str, is_known: bool = False, purge: bool = False
    ) -> Remains | None:
        """Free the full `path` of the project, and return what GitLab keeps of it, None when nothing is left.

        With `purge` it is removed for good; where the instance forbids that, it waits for the end of its retention.
        Safe to repeat. `is_known`: the id is from the ledger, so the marker may be gone. Raises NotYet while GitLab is
        at it, Conflict when the project is at another path or not ours, Permanent with GitLab's reason when it
        refuses: images in the registry of the project. Source: GitLab projects API, "Delete a project".
        """
        project = self._projects.find_by_id(project_id)
        if project is None:
            return None
        is_ours = is_known or is_line_of(project.description, marker)
        if not project.marked_for_deletion_on and not (is_ours and _is_put_aside(project, path)):
            self._require_ours(project, path, is_ours=is_ours)
            if not purge and not self._is_deletion_kept():
                return self._put_aside(project, path)
            project = self._start_deletion(project, path)
        if project and purge and is_ours and _is_remains(project, path):  # others' wait for the end of their retention
            project = self._finish_deletion(project, path)
        if project and not project.marked_for_deletion_on:
            return self._put_aside(project, path)
        return self._marked(project) if project else None

    def find_remains(self, project_id: int, *, path: str) -> Remains | None:
        """Return what an earlier removal of the project at `path` left of it. It only reads."""
        project = self._projects.find_by_id(project_id)
        if project and project.marked_for_deletion_on:
            return self._marked(project)
        return _put_aside_as(project) if project and _is_put_aside(project, path) else None

    def _require_ours(self, project: ProjectSchema, path: str, *, is_ours: bool) -> None:
        if not (same_path(project.path_with_namespace, path) and is_ours):
            reason = f"GitLab's project {project.path_with_namespace} was moved, or its description lacks our marker"
            raise not_ours(self._api, reason, "remove it on GitLab and retry")

    # -- GitLab 18 and later, and every purge ----------------------------------------------------------------

    def _start_deletion(self, project: ProjectSchema, path: str) -> ProjectSchema | None:
        """Delete, and return what is left of it. Raises NotYet until it is marked or gone."""
        reply = self._api.send("DELETE", "projects", str(project.id))
        if reply.status == 400:
            reason = f"GitLab does not remove {project.path_with_namespace}: {reason_in(reply.body)}"
            raise self._api.permanent(reason, ActionBy.USER)
        if reply.status not in (202, 404):
            raise self._api.failed(reply, f"removing the project {project.path_with_namespace}")
        left = self._projects.find_by_id(project.id)
        if left and not left.marked_for_deletion_on:
            raise self._still_removing(path)
        return left

    def _finish_deletion(self, project: ProjectSchema, path: str) -> ProjectSchema | None:
        """Remove what is marked. GitLab wants its present path, and may want to keep it until the retention is over."""
        present = {"permanently_remove": "true", "full_path": project.path_with_namespace}
        reply = self._api.send("DELETE", "projects", str(project.id), params=present)
        is_kept = reply.status == 400 or is_own_denial(reply)
        if not (is_kept or reply.status in (202, 404)):
            raise self._api.failed(reply, f"removing the project {project.path_with_namespace} for good")
        left = self._projects.find_by_id(project.id)
        if left and not is_kept:
            raise self._still_removing(path)
        return left

    def _still_removing(self, path: str) -> NotYet:
        return self._api.not_yet(f"GitLab is removing the project {path}", retry_after_s=POLL_S)

    def _marked(self, project: ProjectSchema) -> Remains:
        until = self._kept_until(project.marked_for_deletion_on or "")
        return Remains(
            name=project.path_with_namespace,
            url=project.web_url,
            until=until.isoformat() if until else None,
            reason="GitLab keeps it under this name until its retention is over; an owner can restore it until then.",
        )

    def _kept_until(self, marked_on: str) -> date | None:
        """Return the day of the final deletion, None when GitLab does not show its settings, or no day.

        Source: GitLab settings API: `deletion_adjourned_period`, in days.
        """
        reply = self._api.send("GET", "application", "settings")
        if reply.status == 404 or is_own_denial(reply):
            return None
        settings = self._api.expect(reply, "reading GitLab's retention of projects").read_as(SettingsSchema)
        days = settings.deletion_adjourned_period
        try:
            return date.fromisoformat(marked_on[:10]) + timedelta(days=days) if days else None
        except (ValueError, OverflowError):
            return None

    # -- GitLab 17 --------------------------------------------------------------------------------------------

    def _is_deletion_kept(self) -> bool:
        """Say whether a deletion only marks. A version that cannot be read counts as one that deletes at once."""
        reply = self._api.expect(self._api.send("GET", "version"), "reading GitLab's version")
        number = _LEADING_NUMBER.match(reply.read_as(VersionSchema).version)
        return number is not None and (int(number[0]),) >= KEEPING

    def _put_aside(self, project: ProjectSchema, path: str) -> Remains:
        """Rename the project, which frees its path, then archive it; each is left out when it is done."""
        name = f"{path}-removed-{project.id}"
        if not same_path(project.path_with_namespace, name):
            slug = name.rpartition("/")[2]
            reply = self._api.send("PUT", "projects", str(project.id), json={"name": slug, "path": slug})
            if reply.status == 400:
                reason = f"GitLab does not rename {project.path_with_namespace}: {reason_in(reply.body)}"
                raise self._api.permanent(reason, ActionBy.USER)
            self._api.expect(reply, f"renaming the project {project.path_with_namespace}")
            project = reply.read_as(ProjectSchema)
        if not project.archived:
            reply = self._api.send("POST", "projects", str(project.id), "archive")
            if reply.status != 201:
                raise self._api.failed(reply, f"archiving the project {project.path_with_namespace}")
        return _put_aside_as(project)


def _put_aside_as(project: ProjectSchema) -> Remains:
    return Remains(
        name=project.path_with_namespace,
        url=project.web_url,
        until=None,
        reason="This GitLab deletes at once, so it was renamed and archived instead. Delete it on GitLab when nobody "
        "needs it any more.",
    )


def _is_put_aside(project: ProjectSchema, path: str) -> bool:
    return same_path(project.path_with_namespace, f"{path}-removed-{project.id}")


def _is_remains(project: ProjectSchema, path: str) -> bool:
    """Say whether this is what GitLab left of the project at `path`: since 18 it has a suffix that ends in its id."""
    suffix = rf"(-[a-z_]+-{project.id})?"
    return re.fullmatch(re.escape(path) + suffix, project.path_with_namespace, re.IGNORECASE) is not None

"""What people did in a repository of GitLab: commits, pushes, merge requests. It only reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from worker.upstreams.base import Api
from worker.upstreams.gitlab.errors import is_switched_off
from worker.upstreams.gitlab.schemas import CommitSchema

PAGE_ROWS = 100
MAX_PAGES = 5  # of commits: a repository with more than these is a repository with many
Row = TypeVar("Row")


@dataclass(frozen=True)
class EventSchema:
    created_at: str
    author_username: str | None = None


@dataclass(frozen=True)
class MergeRequestSchema:
    iid: int


@dataclass(frozen=True, kw_only=True)
class Activity:
    """`commits` are those that are not the template's, on any branch; `has_more`: there are more than were counted.

    `pushed_at` is GitLab's time of the last push, None when it shows none.
    """

    commits: int
    has_more: bool
    pushed_at: str | None
    pushed_by: str | None
    open_merge_requests: int


class Repositories:
    """The contents of one GitLab's repositories."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def activity(self, project_id: int, *, template: str | None) -> Activity | None:
        """Return what people did in a project that was forked from `template`, None when there is no such project.

        Without a template that can be read, every commit counts. What is switched off in a project has no rows.
        Source: GitLab API, "List repository commits", "List a project's visible events", "List project merge requests".
        """
        commits = self._commits(str(project_id))
        if commits is None:
            return None
        known = self._commits(template) if template else None
        own = set(commits.ids) - set(known.ids if known else ())
        pushes = self._rows(EventSchema, str(project_id), "events", action="pushed", per_page=1)
        requests = self._rows(MergeRequestSchema, str(project_id), "merge_requests", state="opened", per_page=PAGE_ROWS)
        return Activity(
            commits=len(own),
            has_more=commits.has_more and bool(own),
            pushed_at=pushes[0].created_at if pushes else None,
            pushed_by=pushes[0].author_username if pushes else None,
            open_merge_requests=len(requests),
        )

    def _commits(self, project: str) -> _Commits | None:
        """Return the newest commits of all branches, None when there is no such project."""
        ids: list[str] = []
        for page in range(1, MAX_PAGES + 1):
            wanted: dict[str, str | int] = {"all": "true", "per_page": PAGE_ROWS, "page": page}
            reply = self._api.send("GET", "projects", project, "repository", "commits", params=wanted)
            if reply.status == 404 and page == 1:
                return None
            if is_switched_off(reply):
                return _Commits(ids=ids, has_more=False)
            rows = self._api.expect(reply, f"listing the commits of {project}").read_as(list[CommitSchema])
            ids += [row.id for row in rows]
            if len(rows) < PAGE_ROWS:
                return _Commits(ids=ids, has_more=False)
        return _Commits(ids=ids, has_more=True)

    def _rows(self, shape: type[Row], project: str, *segments: str, **wanted: str | int) -> list[Row]:
        reply = self._api.send("GET", "projects", project, *segments, params=wanted)
        if is_switched_off(reply):
            return []
        return self._api.expect(reply, f"reading the {segments[-1]} of {project}").read_as(list[shape])  # type: ignore[valid-type] # a parameter


@dataclass(frozen=True, kw_only=True)
class _Commits:
    ids: list[str]
    has_more: bool

"""Base of the GitLab stand-in: state, views, look-ups, pagination."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar
from urllib.parse import urlencode

from werkzeug.wrappers import Request, Response

from harbour.config import HarbourConfig
from harbour.gitlab.background import Background
from harbour.gitlab.errors import ApiError, Params, as_json, bad_parameters, refuse
from harbour.gitlab.model import Group, Project, State, User
from harbour.gitlab.views import Views
from harbour.server import READS, Service, raw_path

Row = TypeVar("Row")


class GitLabBase(Service):
    """State and look-ups; the parts (users, groups, projects, …) add their routes."""

    name = "gitlab"
    is_read_only = False
    """Whether it is in maintenance mode, or a read-only secondary: `restrictions`."""

    def __init__(self, config: HarbourConfig, background: Background | None = None) -> None:
        super().__init__()
        self.config = config
        self.state = State()
        self.background = background or Background()
        self.import_errors: list[str] = []  # the next imports fail with these errors

    # -- the disk --------------------------------------------------------------------------------------------

    def repository(self, project: Project) -> Path:
        return self.config.root / "repositories" / f"{project.id}.git"

    def repositories(self) -> list[Path]:
        """Return every repository on the disk."""
        return list((self.config.root / "repositories").glob("*.git"))

    def erase(self, project: Project) -> None:
        """Finish a deletion: the project, its repository and the redirects to it are gone."""
        with self.lock:
            self.state.projects.pop(project.id, None)
            self.state.redirects = {
                path: target for path, target in self.state.redirects.items() if target != project.id
            }
        shutil.rmtree(self.repository(project), ignore_errors=True)  # a fork may have none yet
        self.save()

    # -- look-ups --------------------------------------------------------------------------------------------

    def caller(self) -> User:
        """Return the administrator to whom the API token belongs."""
        return self.state.users[1]

    def git_user(self, password: str) -> User | None:  # noqa: ARG002 - a hook: overrides use it
        """Return the owner of a personal access token with which git may work."""
        return None

    def only_reads(self, password: str) -> bool:  # noqa: ARG002 - as above
        """Return whether it is a personal access token that does not push."""
        return False

    def record_push(self, project: Project, user: User, pushed: list[str]) -> None:
        """Keep an event for each ref that somebody pushed."""

    def after_push(self, project: Project) -> None:
        """Do what a push to a project's repository leads to; a push may have changed nothing."""

    def find_group(self, key: str) -> Group:
        """Return a group by id or full path; a text of digits is always an id."""
        group = self.state.groups.get(int(key)) if key.isdigit() else self.state.group_at(key)
        return group or refuse(404, "404 Group Not Found")

    def find_user(self, key: str) -> User:
        if not key.isdigit():
            bad_parameters("id is invalid")
        return self.state.users.get(int(key)) or refuse(404, "404 User Not Found")

    def find_project(self, request: Request, key: str) -> Project:
        """Return a project by id or full path; a former path answers 301 to a GET and 405 to anything else."""
        if key.isdigit():
            return self.state.projects.get(int(key)) or refuse(404, "404 Project Not Found")
        if "/" not in key:
            refuse(404, "404 Project Not Found")
        if project := self.state.project_at(key):
            return project
        if moved := self.state.moved_project(key):
            self._redirect(request, moved)
        return refuse(404, "404 Project Not Found")

    def _redirect(self, request: Request, project: Project) -> NoReturn:
        if request.method not in READS:
            refuse(405, "Non GET methods are not allowed for moved projects")
        rest = "".join(f"/{segment}" for segment in raw_path(request.environ).split("/")[5:])
        query = f"?{request.query_string.decode()}" if request.query_string else ""
        target = f"{self.url}/api/v4/projects/{project.id}{rest}{query}"
        message = f"This resource has been moved permanently to {target}"
        raise ApiError(301, {"message": message}, {"Location": target})

    @property
    def views(self) -> Views:
        return Views(self.state, self.url)

    # -- answers ---------------------------------------------------------------------------------------------

    def page(self, request: Request, rows: Sequence[Row], view: Callable[[Row], object]) -> Response:
        """Answer one page of a list with GitLab's paging headers."""
        params = Params(request)
        number = max(1, params.number("page") or 1)
        size = min(100, max(1, params.number("per_page") or 20))
        shown = rows[(number - 1) * size : number * size]
        more = len(rows) > number * size
        response = as_json([view(row) for row in shown])
        headers: dict[str, Any] = {
            "X-Page": number,
            "X-Per-Page": size,
            "X-Total": len(rows),
            "X-Total-Pages": max(1, -(-len(rows) // size)),
            "X-Next-Page": number + 1 if more else "",
            "X-Prev-Page": number - 1 if number > 1 else "",
        }
        if more:
            headers["Link"] = f'<{self._page_url(request, number + 1)}>; rel="next"'
        response.headers.update({key: str(value) for key, value in headers.items()})
        return response

    def _page_url(self, request: Request, number: int) -> str:
        arguments = request.args.to_dict() | {"page": str(number)}
        return f"{self.url}{raw_path(request.environ)}?{urlencode(arguments)}"

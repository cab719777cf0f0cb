"""What a repository holds: branches, commits, trees, files. Writing is subject to the protection of the branch.

Source: GitLab API, "Branches", "Commits", "Repositories", "Repository files", "Events".
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from werkzeug.wrappers import Request, Response

from harbour import commits, repository
from harbour.commits import Commit
from harbour.gitlab.errors import Params, as_json, bad_parameters, empty, refuse
from harbour.gitlab.git_http import is_allowed
from harbour.gitlab.model import DEVELOPER, Project, User, now
from harbour.gitlab.projects import PROJECT
from harbour.gitlab.state import GitLabBase
from harbour.server import route

REPOSITORY = f"{PROJECT}/repository"
FORBIDDEN = "You are not allowed to push into this branch"


class Contents(GitLabBase):
    """`/projects/:id/repository/…` and the pushes among `/projects/:id/events`."""

    # -- branches ----------------------------------------------------------------------------------------------

    @route("GET", f"{REPOSITORY}/branches")
    def list_repository_branches(self, request: Request, project_id: str) -> Response:
        project = self.find_project(request, project_id)
        wanted = Params(request).text("search") or ""
        names = [name for name in repository.branches(self.repository(project)) if wanted in name]
        return self.page(request, names, lambda name: self._branch_view(project, name))

    @route("GET", f"{REPOSITORY}/branches/:name")
    def get_repository_branch(self, request: Request, project_id: str, name: str) -> Response:
        project = self.find_project(request, project_id)
        self._require_branch(project, name)
        return as_json(self._branch_view(project, name))

    @route("POST", f"{REPOSITORY}/branches")
    def create_repository_branch(self, request: Request, project_id: str) -> Response:
        project, params = self.find_project(request, project_id), Params(request)
        params.require("branch", "ref")
        name, place = str(params.text("branch")), self.repository(project)
        start = commits.resolve(place, str(params.text("ref")))
        if name in repository.branches(place):
            refuse(400, "Branch already exists")
        if start is None:
            refuse(400, "Invalid reference name: " + str(params.text("ref")))
        repository.git(f"--git-dir={place}", "update-ref", f"refs/heads/{name}", start)
        return as_json(self._branch_view(project, name), 201)

    @route("DELETE", f"{REPOSITORY}/branches/:name")
    def delete_repository_branch(self, request: Request, project_id: str, name: str) -> Response:
        project = self.find_project(request, project_id)
        self._require_branch(project, name)
        if name == project.default_branch or any(rule.name == name for rule in project.branches):
            refuse(403, "Cannot remove a protected or default branch")
        repository.git(f"--git-dir={self.repository(project)}", "update-ref", "-d", f"refs/heads/{name}")
        return empty(204)

    def _require_branch(self, project: Project, name: str) -> None:
        if name not in repository.branches(self.repository(project)):
            refuse(404, "404 Branch Not Found")

    def _branch_view(self, project: Project, name: str) -> dict[str, Any]:
        rule = next((rule for rule in project.branches if rule.name == name), None)
        place, level = self.repository(project), self.state.access_level(self.caller(), project)
        (newest,) = commits.log(place, "-1", f"refs/heads/{name}")
        return {
            "name": name,
            "commit": self._commit_view(project, newest),
            "merged": False,
            "protected": rule is not None,
            "developers_can_push": rule is not None and is_allowed(rule, DEVELOPER),
            "developers_can_merge": rule is not None and DEVELOPER in [each["access_level"] for each in rule.merge],
            "can_push": is_allowed(rule, level),
            "default": name == project.default_branch,
            "web_url": f"{self.url}/{self.state.full_path(project)}/-/tree/{name}",
        }

    # -- commits -----------------------------------------------------------------------------------------------

    @route("GET", f"{REPOSITORY}/commits")
    def list_commits(self, request: Request, project_id: str) -> Response:
        """Answer the commits of a branch, or of all of them with `all=true`, newest first."""
        project, params = self.find_project(request, project_id), Params(request)
        place, wanted = self.repository(project), params.text("ref_name") or project.default_branch
        if not repository.refs(place):
            return self.page(request, [], str)
        start = "--all" if params.flag("all") else commits.resolve(place, str(wanted))
        if start is None:
            refuse(404, "404 Commit Not Found")
        return self.page(request, commits.log(place, start), lambda each: self._commit_view(project, each))

    @route("GET", f"{REPOSITORY}/commits/:sha")
    def get_commit(self, request: Request, project_id: str, sha: str) -> Response:
        project = self.find_project(request, project_id)
        found = commits.resolve(self.repository(project), sha)
        if found is None:
            refuse(404, "404 Commit Not Found")
        (commit,) = commits.log(self.repository(project), "-1", found)
        return as_json(self._commit_view(project, commit))

    @route("POST", f"{REPOSITORY}/commits")
    def create_commit(self, request: Request, project_id: str) -> Response:
        """Commit several changes of files at once."""
        project, params = self.find_project(request, project_id), Params(request)
        params.require("branch", "commit_message", "actions")
        changes: dict[str, str | None] = {}
        for action in params.get("actions"):
            is_delete = action["action"] == "delete"
            changes[action["file_path"]] = None if is_delete else _decoded(action)
        made = self._commit(project, params, changes)
        return as_json(self._commit_view(project, made), 201)

    def _commit(self, project: Project, params: Params, changes: Mapping[str, str | None]) -> Commit:
        name, place, user = str(params.text("branch")), self.repository(project), self.caller()
        rule = next((rule for rule in project.branches if rule.name == name), None)
        level = self.state.access_level(user, project)
        if level < DEVELOPER or project.archived:
            refuse(403, "403 Forbidden")
        if not is_allowed(rule, level):
            refuse(400, FORBIDDEN)
        start = params.text("start_branch") or name
        if start != name and name in repository.branches(place):
            refuse(400, f"A branch called '{name}' already exists. Switch to that branch in order to make changes")
        parent = commits.resolve(place, start) or ""
        if not parent and repository.refs(place):
            refuse(400, "You can only create or edit files when you are on a branch")
        author = (params.text("author_name") or user.name, params.text("author_email") or user.email)
        made = commits.write(
            place, name, changes, message=str(params.text("commit_message")), author=author, parent=parent
        )
        self.record_push(project, user, [f"refs/heads/{name}"])
        self.after_push(project)
        return commits.log(place, "-1", made)[0]

    def _commit_view(self, project: Project, commit: Commit) -> dict[str, Any]:
        return {
            "id": commit.id,
            "short_id": commit.id[:8],
            "created_at": commit.committed_at,
            "parent_ids": commit.parents,
            "title": commit.message.partition("\n")[0],
            "message": commit.message,
            "author_name": commit.author,
            "author_email": commit.author_email,
            "authored_date": commit.authored_at,
            "committer_name": commit.committer,
            "committer_email": commit.committer_email,
            "committed_date": commit.committed_at,
            "web_url": f"{self.url}/{self.state.full_path(project)}/-/commit/{commit.id}",
        }

    # -- trees and files ---------------------------------------------------------------------------------------

    @route("GET", f"{REPOSITORY}/tree")
    def list_tree(self, request: Request, project_id: str) -> Response:
        project, params = self.find_project(request, project_id), Params(request)
        place = self.repository(project)
        commit = commits.resolve(place, params.text("ref") or project.default_branch or "")
        if commit is None:
            refuse(404, "404 Tree Not Found")
        found = commits.entries(place, commit, below=params.text("path") or "", recursive=params.flag("recursive"))
        return self.page(
            request,
            found,
            lambda each: {
                "id": each.id,
                "name": each.path.rpartition("/")[2],
                "type": each.kind,
                "path": each.path,
                "mode": each.mode,
            },
        )

    @route("GET", f"{REPOSITORY}/files/:file")
    def get_file(self, request: Request, project_id: str, file: str) -> Response:
        project = self.find_project(request, project_id)
        commit, text = self._file(request, project, file)
        name = file.rpartition("/")[2]
        return as_json(
            {
                "file_name": name,
                "file_path": file,
                "size": len(text.encode()),
                "encoding": "base64",
                "content": base64.b64encode(text.encode()).decode(),
                "ref": Params(request).text("ref"),
                "commit_id": commit,
                "last_commit_id": commit,
                "execute_filemode": False,
            }
        )

    @route("GET", f"{REPOSITORY}/files/:file/raw")
    def get_raw_file(self, request: Request, project_id: str, file: str) -> Response:
        _, text = self._file(request, self.find_project(request, project_id), file)
        return Response(text, content_type="text/plain; charset=utf-8")

    def _file(self, request: Request, project: Project, file: str) -> tuple[str, str]:
        """Return the commit and the text of a file. Raises 404 without them."""
        revision = Params(request).text("ref") or "HEAD"
        place = self.repository(project)
        wanted = (project.default_branch or "") if revision == "HEAD" else revision
        commit = commits.resolve(place, wanted) or refuse(404, "404 Commit Not Found")
        text = commits.content(place, commit, file)
        return (commit, text) if text is not None else refuse(404, "404 File Not Found")

    @route("POST", f"{REPOSITORY}/files/:file")
    def create_file(self, request: Request, project_id: str, file: str) -> Response:
        return self._put_file(request, project_id, file, is_new=True)

    @route("PUT", f"{REPOSITORY}/files/:file")
    def change_file(self, request: Request, project_id: str, file: str) -> Response:
        return self._put_file(request, project_id, file, is_new=False)

    def _put_file(self, request: Request, project_id: str, file: str, *, is_new: bool) -> Response:
        project, params = self.find_project(request, project_id), Params(request)
        params.require("branch", "commit_message", "content")
        if self._has_file(project, params, file) is is_new:
            text = "A file with this name already exists" if is_new else "A file with this name doesn't exist"
            refuse(400, text)
        values = {name: params.get(name) for name in ("content", "encoding")}
        self._commit(project, params, {file: _decoded(values)})
        return as_json({"file_path": file, "branch": params.text("branch")}, 201 if is_new else 200)

    @route("DELETE", f"{REPOSITORY}/files/:file")
    def delete_file(self, request: Request, project_id: str, file: str) -> Response:
        project, params = self.find_project(request, project_id), Params(request)
        params.require("branch", "commit_message")
        if not self._has_file(project, params, file):
            refuse(400, "A file with this name doesn't exist")
        self._commit(project, params, {file: None})
        return empty(204)

    def _has_file(self, project: Project, params: Params, file: str) -> bool:
        place = self.repository(project)
        commit = commits.resolve(place, params.text("start_branch") or str(params.text("branch")))
        return commit is not None and commits.content(place, commit, file) is not None

    # -- pushes ------------------------------------------------------------------------------------------------

    def record_push(self, project: Project, user: User, pushed: list[str]) -> None:
        """Keep an event for each ref."""
        for ref in pushed:
            project.pushes.append({"id": self.state.next_id("event"), "user_id": user.id, "at": now(), "ref": ref})

    @route("GET", f"{PROJECT}/events")
    def list_events(self, request: Request, project_id: str) -> Response:
        """Answer the pushes, newest first; the stand-in keeps no other events."""
        project = self.find_project(request, project_id)
        action = Params(request).text("action") or "pushed"
        rows = list(reversed(project.pushes)) if action == "pushed" else []
        return self.page(request, rows, lambda push: self._push_view(project, push))

    def _push_view(self, project: Project, push: dict[str, Any]) -> dict[str, Any]:
        user = self.state.users.get(push["user_id"])
        kind, _, name = push["ref"].removeprefix("refs/").partition("/")
        return {
            "id": push["id"],
            "project_id": project.id,
            "action_name": "pushed to",
            "created_at": push["at"],
            "author_id": push["user_id"],
            "author": self.views.basic_user(user) if user else None,
            "author_username": user.username if user else None,
            "push_data": {"action": "pushed", "ref_type": "tag" if kind == "tags" else "branch", "ref": name},
        }


def _decoded(values: Mapping[str, Any]) -> str:
    text = str(values.get("content") or "")
    if values.get("encoding") != "base64":
        return text
    try:
        return base64.b64decode(text).decode()
    except ValueError:
        bad_parameters("content is invalid")

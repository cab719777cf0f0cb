"""What connects a project with others: merge requests, hooks, deploy tokens.

Source: GitLab API, "Merge requests", "Project webhooks", "Deploy tokens".
"""

from __future__ import annotations

import secrets
from typing import Any

from werkzeug.wrappers import Request, Response

from harbour import repository
from harbour.gitlab.errors import Params, as_json, bad_parameters, empty, refuse
from harbour.gitlab.model import Project, now
from harbour.gitlab.projects import PROJECT
from harbour.gitlab.state import GitLabBase
from harbour.server import route

REQUESTS, HOOKS, TOKENS = f"{PROJECT}/merge_requests", f"{PROJECT}/hooks", f"{PROJECT}/deploy_tokens"
HOOK_FLAGS = ("push_events", "merge_requests_events", "tag_push_events", "enable_ssl_verification")
TOKEN_SCOPES = ("read_repository", "read_registry", "write_registry", "read_package_registry", "write_package_registry")
STATES = {"close": "closed", "reopen": "opened"}
Row = dict[str, Any]


class Wiring(GitLabBase):
    """`/projects/:id/merge_requests`, `/hooks`, `/deploy_tokens`. Hooks and tokens may be doubled, as on GitLab."""

    # -- merge requests ----------------------------------------------------------------------------------------

    @route("GET", REQUESTS)
    def list_merge_requests(self, request: Request, project_id: str) -> Response:
        project, state = self.find_project(request, project_id), Params(request).text("state") or "all"
        rows = [row for row in reversed(project.merge_requests) if state in ("all", row["state"])]
        return self.page(request, rows, lambda row: self._request_view(project, row))

    @route("POST", REQUESTS)
    def create_merge_request(self, request: Request, project_id: str) -> Response:
        """Open a merge request from this project, to itself unless `target_project_id` says otherwise."""
        source, params = self.find_project(request, project_id), Params(request)
        params.require("title", "source_branch", "target_branch")
        target_id = params.number("target_project_id") or source.id
        target = self.state.projects.get(target_id) or refuse(404, "404 Project Not Found")
        for project, field in ((source, "source_branch"), (target, "target_branch")):
            if params.text(field) not in repository.branches(self.repository(project)):
                refuse(400, {field: ["does not exist"]})
        row = {
            "iid": len(target.merge_requests) + 1,
            "id": self.state.next_id("merge_request"),
            "title": params.text("title"),
            "description": params.text("description"),
            "state": "opened",
            "source_branch": params.text("source_branch"),
            "target_branch": params.text("target_branch"),
            "source_project_id": source.id,
            "target_project_id": target.id,
            "author_id": self.caller().id,
            "created_at": now(),
        }
        target.merge_requests.append(row)
        return as_json(self._request_view(target, row), 201)

    @route("GET", f"{REQUESTS}/:iid")
    def get_merge_request(self, request: Request, project_id: str, iid: str) -> Response:
        project = self.find_project(request, project_id)
        return as_json(self._request_view(project, _with(project.merge_requests, "iid", iid)))

    @route("PUT", f"{REQUESTS}/:iid")
    def change_merge_request(self, request: Request, project_id: str, iid: str) -> Response:
        project, params = self.find_project(request, project_id), Params(request)
        row = _with(project.merge_requests, "iid", iid)
        row["state"] = STATES.get(params.choice("state_event", tuple(STATES), "") or "", row["state"])
        row |= {name: params.text(name) for name in params.given("title", "description", "target_branch")}
        return as_json(self._request_view(project, row))

    def _request_view(self, project: Project, row: Row) -> Row:
        author = self.state.users.get(row["author_id"])
        url = f"{self.url}/{self.state.full_path(project)}/-/merge_requests/{row['iid']}"
        about = {"project_id": project.id, "author": self.views.basic_user(author) if author else None}
        return {key: row[key] for key in row if key != "author_id"} | about | {"web_url": url}

    # -- hooks -------------------------------------------------------------------------------------------------

    @route("GET", HOOKS)
    def list_hooks(self, request: Request, project_id: str) -> Response:
        return self.page(request, self.find_project(request, project_id).hooks, dict)

    @route("POST", HOOKS)
    def create_hook(self, request: Request, project_id: str) -> Response:
        project, params = self.find_project(request, project_id), Params(request)
        params.require("url")
        row = {"id": self.state.next_id("hook"), "project_id": project.id, "created_at": now(), "push_events": True}
        row |= {"enable_ssl_verification": True, "merge_requests_events": False, "tag_push_events": False}
        project.hooks.append(_changed_hook(row, params))
        return as_json(row, 201)

    @route("GET", f"{HOOKS}/:hook_id")
    def get_hook(self, request: Request, project_id: str, hook_id: str) -> Response:
        return as_json(_with(self.find_project(request, project_id).hooks, "id", hook_id))

    @route("PUT", f"{HOOKS}/:hook_id")
    def change_hook(self, request: Request, project_id: str, hook_id: str) -> Response:
        row = _with(self.find_project(request, project_id).hooks, "id", hook_id)
        return as_json(_changed_hook(row, Params(request)))

    @route("DELETE", f"{HOOKS}/:hook_id")
    def delete_hook(self, request: Request, project_id: str, hook_id: str) -> Response:
        hooks = self.find_project(request, project_id).hooks
        hooks.remove(_with(hooks, "id", hook_id))
        return empty(204)

    # -- deploy tokens -----------------------------------------------------------------------------------------

    @route("GET", TOKENS)
    def list_deploy_tokens(self, request: Request, project_id: str) -> Response:
        return self.page(request, self.find_project(request, project_id).deploy_tokens, dict)

    @route("POST", TOKENS)
    def create_deploy_token(self, request: Request, project_id: str) -> Response:
        """Create a token; its text is in this answer only."""
        project, params = self.find_project(request, project_id), Params(request)
        params.require("name", "scopes")
        scopes = params.get("scopes")
        if not isinstance(scopes, list) or not scopes or not set(scopes) <= set(TOKEN_SCOPES):
            bad_parameters("scopes does not have a valid value")
        number = self.state.next_id("deploy_token")
        row = {
            "id": number,
            "name": params.text("name"),
            "username": params.text("username") or f"gitlab+deploy-token-{number}",
            "expires_at": params.text("expires_at"),
            "scopes": scopes,
            "revoked": False,
            "expired": False,
        }
        project.deploy_tokens.append(row)
        return as_json(row | {"token": f"gldt-{secrets.token_urlsafe(20)}"}, 201)

    @route("GET", f"{TOKENS}/:token_id")
    def get_deploy_token(self, request: Request, project_id: str, token_id: str) -> Response:
        return as_json(_with(self.find_project(request, project_id).deploy_tokens, "id", token_id))

    @route("DELETE", f"{TOKENS}/:token_id")
    def delete_deploy_token(self, request: Request, project_id: str, token_id: str) -> Response:
        tokens = self.find_project(request, project_id).deploy_tokens
        tokens.remove(_with(tokens, "id", token_id))
        return empty(204)


def _with(rows: list[Row], key: str, value: str) -> Row:
    return next((row for row in rows if str(row[key]) == value), None) or refuse(404, "404 Not found")


def _changed_hook(row: Row, params: Params) -> Row:
    row |= {name: params.flag(name) for name in HOOK_FLAGS if name in params}
    row |= {name: params.text(name) for name in params.given("url", "name", "description", "push_events_branch_filter")}
    return row

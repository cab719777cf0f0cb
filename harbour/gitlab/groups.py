"""Groups and their members."""

from __future__ import annotations

from typing import Any

from werkzeug.wrappers import Request, Response

from harbour.gitlab.errors import ApiError, Params, as_json, bad_parameters, empty, refuse
from harbour.gitlab.model import Group, Member, User
from harbour.gitlab.state import GitLabBase
from harbour.server import route

GROUP = "/api/v4/groups/:group_id"
LEVELS = (5, 10, 15, 20, 30, 40, 50)


class Groups(GitLabBase):
    """`/groups`: a member is direct or inherited; only the direct one can be read by id, changed or removed."""

    approves_members = False
    """Whether an administrator has to approve each new member: "administrator approval for role promotions"."""

    @route("GET", "/api/v4/groups")
    def list_groups(self, request: Request) -> Response:
        wanted = (Params(request).text("search") or "").lower()
        rows = [group for group in self.state.groups.values() if wanted in group.path.lower()]
        return self.page(request, rows, self.views.group)

    @route("GET", GROUP)
    def get_group(self, request: Request, group_id: str) -> Response:
        group = self.find_group(group_id)
        view = self.views.group(group)
        if Params(request).flag("with_projects", default=True):
            inside = [p for p in self.state.projects.values() if p.namespace_id == group.id]
            view["projects"] = [self.views.project(project) for project in inside]
        return as_json(view)

    @route("GET", f"{GROUP}/projects")
    def list_projects_in_group(self, request: Request, group_id: str) -> Response:
        """Answer the group's own projects, newest first."""
        group, params = self.find_group(group_id), Params(request)
        rows = [project for project in self.state.projects.values() if project.namespace_id == group.id]
        if params.given("archived"):
            rows = [project for project in rows if project.archived == params.flag("archived")]
        if wanted := (params.text("search") or "").lower():
            rows = [project for project in rows if wanted in f"{project.name}\n{project.path}".lower()]
        rows.sort(key=lambda project: (project.created_at, project.id), reverse=True)
        return self.page(request, rows, self.views.simple_project if params.flag("simple") else self.views.project)

    @route("GET", f"{GROUP}/members")
    def list_members(self, request: Request, group_id: str) -> Response:
        return self.page(request, self.find_group(group_id).members, self.views.member)

    @route("POST", f"{GROUP}/members")
    def add_member(self, request: Request, group_id: str) -> Response:
        group, params = self.find_group(group_id), Params(request)
        params.require("access_level")
        given = params.given("user_id", "username")
        if not given:
            bad_parameters("user_id, username are missing, at least one parameter must be provided")
        if len(given) > 1:
            bad_parameters("user_id, username are mutually exclusive")
        keys = str(params.get(given[0])).split(",")
        if len(keys) > 1:
            return self._add_several(group, keys, params)
        if self.approves_members:
            queued = {str(key): "Request queued for administrator approval." for key in keys}
            return as_json({"queued_users": queued, "status": "success"}, 201)
        return as_json(self.views.member(self._add(group, self._user(keys[0], given[0]), params)), 201)

    def _add_several(self, group: Group, keys: list[str], params: Params) -> Response:
        """Add a comma list: the answer is 201 even when every one of them failed."""
        problems: dict[str, Any] = {}
        for key in keys:
            try:
                self._add(group, self._user(key, "user_id" if key.isdigit() else "username"), params)
            except ApiError as error:
                problems[key] = error.body["message"]
        return as_json({"status": "error", "message": problems} if problems else {"status": "success"}, 201)

    def _user(self, key: str, kind: str) -> User:
        user = self.state.user_named(key) if kind == "username" else self.find_user(key)
        return user or refuse(404, "404 User Not Found")

    def _add(self, group: Group, user: User, params: Params) -> Member:
        level = self._level(group, user, params)
        if _direct(group, user.id):
            refuse(409, "Member already exists")
        member = Member(
            user_id=user.id,
            access_level=level,
            created_by=self.caller().id,
            expires_at=params.text("expires_at"),
        )
        group.members.append(member)
        return member

    def _level(self, group: Group, user: User, params: Params) -> int:
        level = params.number("access_level")
        if level not in LEVELS:
            refuse(400, {"access_level": ["is not included in the list"]})
        for ancestor in self.state.group_lineage(group)[1:]:
            inherited = _direct(ancestor, user.id)
            if inherited and inherited.access_level > level:
                text = "should be greater than or equal to {} inherited membership from group {}"
                refuse(400, {"access_level": [text.format(inherited.access_level, ancestor.path)]})
        return level

    @route("GET", f"{GROUP}/members/:user_id")
    def get_member(self, _request: Request, group_id: str, user_id: str) -> Response:
        return as_json(self.views.member(self._member(self.find_group(group_id), user_id)))

    @route("GET", f"{GROUP}/members/all")
    def list_all_members(self, request: Request, group_id: str) -> Response:
        """Answer each direct and inherited member once, with the highest level."""
        highest: dict[int, Member] = {}
        for member in [m for g in self.state.group_lineage(self.find_group(group_id)) for m in g.members]:
            kept = highest.get(member.user_id)
            if kept is None or kept.access_level < member.access_level:
                highest[member.user_id] = member
        return self.page(request, list(highest.values()), self.views.member)

    @route("GET", f"{GROUP}/members/all/:user_id")
    def get_any_member(self, _request: Request, group_id: str, user_id: str) -> Response:
        found = [_direct(g, _number(user_id)) for g in self.state.group_lineage(self.find_group(group_id))]
        members = [member for member in found if member]
        if not members:
            refuse(404, "404 Not found")
        return as_json(self.views.member(max(members, key=lambda member: member.access_level)))

    @route("PUT", f"{GROUP}/members/:user_id")
    def change_member(self, request: Request, group_id: str, user_id: str) -> Response:
        group, params = self.find_group(group_id), Params(request)
        params.require("access_level")
        member = self._member(group, user_id)
        member.access_level = self._level(group, self.state.users[member.user_id], params)
        if "expires_at" in params:
            member.expires_at = params.text("expires_at") or None
        return as_json(self.views.member(member))

    @route("DELETE", f"{GROUP}/members/:user_id")
    def remove_member(self, request: Request, group_id: str, user_id: str) -> Response:
        """Remove a direct member, by default also from everything below the group."""
        group = self.find_group(group_id)
        member = self._member(group, user_id)
        group.members.remove(member)
        if not Params(request).flag("skip_subresources"):
            for below in [each for each in self.state.groups.values() if group in self.state.group_lineage(each)]:
                below.members = [each for each in below.members if each.user_id != member.user_id]
        return empty(204)

    def _member(self, group: Group, user_id: str) -> Member:
        return _direct(group, _number(user_id)) or refuse(404, "404 Not found")


def _direct(group: Group, user_id: int) -> Member | None:
    return next((member for member in group.members if member.user_id == user_id), None)


def _number(user_id: str) -> int:
    return int(user_id) if user_id.isdigit() else bad_parameters("user_id is invalid")

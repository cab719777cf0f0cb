"""Accounts: create, find, block, delete."""

from __future__ import annotations

import secrets
from typing import Any

from werkzeug.wrappers import Request, Response

from harbour.gitlab import rules
from harbour.gitlab.errors import Params, as_json, bad_parameters, empty, refuse
from harbour.gitlab.model import OWNER, Group, User, now
from harbour.gitlab.state import GitLabBase
from harbour.passwords import digest
from harbour.server import route

API = "/api/v4"
OPTIONS: dict[str, Any] = {
    "projects_limit": 100000,
    "can_create_group": True,
    "can_create_project": True,
    "external": False,
    "private_profile": False,
    "organization": "",
    "bio": "",
    "location": "",
    "public_email": None,
    "two_factor_enabled": False,
}
ADMIN_SEES = frozenset({"is_admin", "note", "namespace_id"})
SETTABLE_FLAGS = ("can_create_group", "external", "private_profile")
SETTABLE_TEXTS = ("organization", "bio", "location", "public_email")


class Users(GitLabBase):
    """`/users`: creation reports an e-mail or a name in use before any other error."""

    approves_users = False
    """Whether an administrator has to approve each new user."""

    @route("GET", f"{API}/user")
    def current_user(self, _request: Request) -> Response:
        """Answer the token's owner; only an administrator sees `is_admin`."""
        shown = self.views.user(self.caller())
        return as_json(shown if shown["is_admin"] else {key: shown[key] for key in shown if key not in ADMIN_SEES})

    @route("GET", f"{API}/users")
    def list_users(self, request: Request) -> Response:
        params = Params(request)
        rows = sorted(self.state.users.values(), key=lambda user: -user.id)
        if params.given("username"):
            rows = [user for user in rows if user.username.lower() == str(params.get("username")).lower()]
        if params.given("search"):
            rows = [user for user in rows if _is_like(user, str(params.get("search")).lower())]
        if _identity(params):
            rows = [user for user in rows if _identity(params) in user.identities]
        return self.page(request, rows, self.views.user)

    @route("POST", f"{API}/users")
    def create_user(self, request: Request) -> Response:
        params = Params(request)
        params.require("email", "name", "username")
        if not params.given("password", "reset_password", "force_random_password"):
            bad_parameters(
                "password, reset_password, force_random_password are missing, at least one parameter must be provided"
            )
        identity = _identity(params)
        self._refuse_user(params)
        user = self._new_user(params, identity)
        self.state.users[user.id] = user
        return as_json(self.views.user(user), 201)

    def _refuse_user(self, params: Params) -> None:
        """Raise the errors of a new account: an e-mail in use first, then a name in use, then the rest."""
        email, username = params.text("email") or "", params.text("username") or ""
        if any(user.email.lower() == email.lower() for user in self.state.users.values()):
            refuse(409, "Email has already been taken")
        if self.state.user_named(username):
            refuse(409, "Username has already been taken")
        problems = {
            "email": [] if rules.EMAIL.fullmatch(email) else ["is invalid"],
            "name": [] if (params.text("name") or "").strip() else ["can't be blank"],
            "username": rules.username_problems(username),
            "password": _password_problems(params),
            "base": self._namespace_problems(username),
        }
        if any(problems.values()):
            refuse(400, {field: texts for field, texts in problems.items() if texts})

    def _namespace_problems(self, username: str) -> list[str]:
        taken = self.state.group_at(username) is not None
        return ["A user, alias, or group already exists with that username."] if taken else []

    def _new_user(self, params: Params, identity: dict[str, str] | None) -> User:
        username = str(params.text("username"))
        password = params.text("password") or secrets.token_urlsafe(32)
        options = OPTIONS | {name: params.flag(name, OPTIONS[name]) for name in SETTABLE_FLAGS}
        options |= {name: params.text(name) for name in params.given(*SETTABLE_TEXTS)}
        limit = params.number("projects_limit")
        return User(
            state="blocked_pending_approval" if self.approves_users else "active",
            id=self.state.next_id("user"),
            namespace_id=self.state.next_id("namespace"),
            username=username,
            email=str(params.text("email")),
            name=str(params.text("name")),
            digest=digest(password, owner=username),
            note=params.text("note"),
            is_admin=params.flag("admin"),
            identities=[identity] if identity else [],
            options=options | ({} if limit is None else {"projects_limit": limit}),
            confirmed_at=now() if params.flag("skip_confirmation") else None,
        )

    @route("GET", f"{API}/users/:user_id")
    def get_user(self, _request: Request, user_id: str) -> Response:
        return as_json(self.views.user(self.find_user(user_id)))

    @route("DELETE", f"{API}/users/:user_id")
    def delete_user(self, request: Request, user_id: str) -> Response:
        user = self.find_user(user_id)
        hard = Params(request).flag("hard_delete")
        if self._solely_owned(user) and not hard:
            refuse(409, "User cannot be removed while is the sole-owner of a group")
        user.state, user.deleting = "blocked", "hard" if hard else "soft"
        self.background.after(self.config.fork_s, lambda: self.remove_user(user))
        return empty(204)

    def remove_user(self, user: User) -> None:
        """Finish a deletion, with the personal projects and, when hard, the groups that nobody else owns."""
        with self.lock:
            doomed = self._solely_owned(user) if user.deleting == "hard" else []
            spaces = {user.namespace_id, *(group.id for group in doomed)}
            for project in [p for p in self.state.projects.values() if p.namespace_id in spaces]:
                self.erase(project)
            for group in doomed:
                del self.state.groups[group.id]
            for group in self.state.groups.values():
                group.members = [member for member in group.members if member.user_id != user.id]
            self.state.users.pop(user.id, None)
        self.save()

    def _solely_owned(self, user: User) -> list[Group]:
        def owners(group: Group) -> set[int]:
            return {member.user_id for member in group.members if member.access_level >= OWNER}

        return [group for group in self.state.groups.values() if owners(group) == {user.id}]


def _identity(params: Params) -> dict[str, str] | None:
    given = params.given("extern_uid", "provider")
    if len(given) == 1:
        bad_parameters("extern_uid, provider provide all or none of parameters")
    return {name: str(params.get(name)) for name in ("provider", "extern_uid")} if given else None


def _is_like(user: User, wanted: str) -> bool:
    """Match as GitLab does: a text with `@` matches any part of an e-mail address."""
    in_names = wanted in user.name.lower() or wanted in user.username.lower()
    return in_names or ("@" in wanted and wanted in user.email.lower())


def _password_problems(params: Params) -> list[str]:
    if params.flag("reset_password") or params.flag("force_random_password"):
        return []
    password = params.text("password")
    if not password:
        return ["can't be blank"]
    username, name, email = (str(params.text(field)) for field in ("username", "name", "email"))
    return rules.password_problems(password, username=username, name=name, email=email)

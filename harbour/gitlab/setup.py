"""What a platform team makes once on GitLab: groups, projects, personal access tokens.

Source: GitLab REST API, "Groups", "Projects", "User tokens".
"""

from __future__ import annotations

import hmac
import secrets
import threading
from datetime import UTC, date, datetime, timedelta
from typing import Any

from werkzeug.wrappers import Request, Response

from harbour import repository
from harbour.gitlab.branches import Branches
from harbour.gitlab.errors import Params, as_json, bad_parameters, refuse
from harbour.gitlab.model import MAINTAINER, OWNER, Group, Member, Project, User, now
from harbour.gitlab.rules import RESERVED_TOP_LEVEL, is_slug, project_problems
from harbour.passwords import digest
from harbour.server import route

SCOPES = ("api", "read_api", "read_user", "read_repository", "write_repository", "sudo", "admin_mode", "k8s_proxy")
VISIBILITIES = ("private", "internal", "public")
LEVELS = (10, 15, 20, 30, 40, 50)
LONGEST = timedelta(days=400)  # 365 until GitLab 17.5
Token = dict[str, Any]
"""A personal access token: id, user_id, name, scopes, expires_at, and a digest of its text."""


class Setup(Branches):
    """Groups, projects, and tokens of people and groups, as an administrator creates them."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.tokens: list[Token] = []
        self.request = threading.local()  # `.token` is the personal access token of this request, None for the others

    def dispatch(self, request: Request, path: str) -> Response:
        self.request.token = None  # the thread may have answered another request of this connection
        return super().dispatch(request, path)

    # -- tokens ----------------------------------------------------------------------------------------------

    def caller(self) -> User:
        """Return the owner of the request's token; the configured token belongs to the first administrator."""
        token: Token | None = getattr(self.request, "token", None)
        return self.state.users[token["user_id"]] if token else super().caller()

    def find_token(self, text: str) -> Token | None:
        """Return a personal access token that is valid today and whose owner is active."""
        sought, today = digest(text, owner="token"), datetime.now(UTC).date().isoformat()
        for token in self.tokens:
            owner = self.state.users.get(token["user_id"])
            is_valid = token["expires_at"] > today and owner is not None and owner.state == "active"
            if hmac.compare_digest(token["digest"], sought) and is_valid:
                return token
        return None

    def git_user(self, password: str) -> User | None:
        """Return the owner of a token: git may send any user name with it."""
        token = self.find_token(password) if self.tokens else None
        works = token and {"api", "write_repository", "read_repository"} & set(token["scopes"])
        return self.state.users[token["user_id"]] if token and works else None

    def only_reads(self, password: str) -> bool:
        token = self.find_token(password) if self.tokens else None
        return token is not None and not {"api", "write_repository"} & set(token["scopes"])

    @route("POST", "/api/v4/users/:user_id/personal_access_tokens")
    def create_token(self, request: Request, user_id: str) -> Response:
        """Create a token for somebody, as administrators may; its text is only in this answer."""
        user, params = self.find_user(user_id), Params(request)
        return as_json(self._new_token(user, params, scopes=_scopes(params, is_admin=user.is_admin)), 201)

    @route("POST", "/api/v4/groups/:group_id/access_tokens")
    def create_group_token(self, request: Request, group_id: str) -> Response:
        """Create a token of a group: it belongs to a new account, which is a member of this group alone."""
        group, params = self.find_group(group_id), Params(request)
        level = params.number("access_level") or MAINTAINER
        if level not in LEVELS:
            bad_parameters("access_level does not have a valid value")
        scopes = _scopes(params, is_admin=False)
        name = f"group_{group.id}_bot_{secrets.token_hex(16)}"
        bot = User(
            id=self.state.next_id("user"),
            namespace_id=self.state.next_id("namespace"),
            username=name,
            email=f"{name}@noreply.harbour.example",
            name=str(params.text("name")),
            confirmed_at=now(),
        )
        self.state.users[bot.id] = bot
        group.members.append(Member(user_id=bot.id, access_level=level, created_by=self.caller().id))
        return as_json(self._new_token(bot, params, scopes=scopes) | {"access_level": level}, 201)

    def _new_token(self, user: User, params: Params, *, scopes: list[str]) -> dict[str, Any]:
        """Keep a token and return its view with its text, which is shown this once."""
        text = f"glpat-{secrets.token_urlsafe(20)}"
        token = {
            "id": len(self.tokens) + 10,
            "user_id": user.id,
            "name": str(params.text("name")),
            "scopes": scopes,
            "expires_at": _expiry(params.text("expires_at")),
            "digest": digest(text, owner="token"),
        }
        self.tokens.append(token)
        return token_view(token) | {"token": text}

    # -- groups and projects ---------------------------------------------------------------------------------

    @route("POST", "/api/v4/groups")
    def create_group(self, request: Request) -> Response:
        """Create a group, of which the caller becomes an owner; below a group when `parent_id` names it."""
        params = Params(request)
        params.require("name", "path")
        path, parent = str(params.text("path")), params.number("parent_id")
        above = self.find_group(str(parent)) if parent is not None else None
        full_path = f"{above.full_path}/{path}" if above else path
        if self.state.namespace_at(full_path) is not None:
            refuse(400, 'Failed to save group {:path=>["has already been taken"]}')
        if not is_slug(path) or (above is None and path.lower() in RESERVED_TOP_LEVEL):
            refuse(400, 'Failed to save group {:path=>["is invalid"]}')
        group = Group(
            id=self.state.next_id("namespace"),
            path=path,
            full_path=full_path,
            parent_id=parent,
            members=[Member(user_id=self.caller().id, access_level=OWNER, created_by=self.caller().id)],
        )
        self.state.groups[group.id] = group
        return as_json(self.views.group(group), 201)

    @route("POST", "/api/v4/projects")
    def create_project(self, request: Request) -> Response:
        """Create an empty project: a repository without a branch, and no default branch before the first push."""
        params = Params(request)
        if not params.given("name", "path"):
            bad_parameters("name, path are missing, at least one parameter must be provided")
        name = str(params.text("name") or params.text("path"))
        path = params.text("path") or name.lower().replace(" ", "-")
        namespace = params.number("namespace_id") or self.caller().namespace_id
        if not self.state.has_namespace(namespace):
            refuse(400, {"namespace": ["is not valid"]})
        if problems := project_problems(name, path):
            refuse(400, {"path": problems})
        if self.state.project_at(f"{self.state.namespace_path(namespace)}/{path}"):
            refuse(400, {"name": ["has already been taken"], "path": ["has already been taken"]})
        project = Project(
            id=self.state.next_id("project"),
            namespace_id=namespace,
            name=name,
            path=path,
            creator_id=self.caller().id,
            visibility=params.choice("visibility", VISIBILITIES, "private"),
            description=params.text("description"),
        )
        repository.create_empty(self.repository(project))
        self.state.projects[project.id] = project
        return as_json(self.views.project(project), 201)

    def after_push(self, project: Project) -> None:
        """Make the first branch that was pushed the default one, and protect it, as GitLab does after the push."""
        with self.lock:
            pushed = repository.branches(self.repository(project))
            if project.default_branch is None and pushed:
                name = "main" if "main" in pushed else pushed[0]
                project.default_branch = name
                project.branches.append(self.new_branch(name, push=[MAINTAINER], merge=[MAINTAINER]))
                self.save()


def token_view(token: Token) -> dict[str, Any]:
    """Return a token as GitLab shows it, without its text."""
    return {key: value for key, value in token.items() if key != "digest"} | {
        "revoked": False,
        "active": True,
        "created_at": now(),
        "description": None,
        "last_used_at": None,
    }


def _scopes(params: Params, *, is_admin: bool) -> list[str]:
    params.require("name", "scopes")
    scopes = params.get("scopes")
    if not isinstance(scopes, list) or not set(scopes) <= set(SCOPES):
        bad_parameters("scopes does not have a valid value")
    if "admin_mode" in scopes and not is_admin:
        refuse(400, "Scopes can only contain available scopes")
    return scopes


def _expiry(wanted: str | None) -> str:
    """Return the date of expiry: no token lives for ever since GitLab 16."""
    longest = datetime.now(UTC).date() + LONGEST
    if not wanted:
        return (datetime.now(UTC).date() + timedelta(days=365)).isoformat()
    try:
        given = date.fromisoformat(wanted)
    except ValueError:
        bad_parameters("expires_at is invalid")
    if given > longest:
        refuse(400, f"Expiration date must be before {longest.isoformat()}")
    return given.isoformat()

"""The GitLab stand-in: authentication, initial objects, persistence.

state ── users · groups · projects ── forks ── branches   the API
      ── git_http   the repositories over HTTP
      ── pages      the pages that a browser shows
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

from werkzeug.wrappers import Request, Response

from harbour import repository, templates
from harbour.gitlab import git_http, pages
from harbour.gitlab.contents import Contents
from harbour.gitlab.errors import ApiError, as_json
from harbour.gitlab.groups import Groups
from harbour.gitlab.model import MAINTAINER, OWNER, Group, Member, Project, User, load_state, now
from harbour.gitlab.restrictions import Restrictions
from harbour.gitlab.settings import Settings
from harbour.gitlab.setup import Setup, token_view
from harbour.gitlab.user_states import UserStates
from harbour.gitlab.users import API, OPTIONS
from harbour.gitlab.wiring import Wiring
from harbour.server import READS, Handler, route

REVISION = "c401a659d0c"
ADMINISTRATORS_ONLY = re.compile(r"/api/v4/users(/.*)?")
SETTINGS = re.compile(r"/api/v4/application/settings")
ANY_TOKEN = ("/api/v4/version", "/api/v4/metadata", "/api/v4/personal_access_tokens/self")


class GitLab(UserStates, Groups, Contents, Wiring, Setup, Settings, Restrictions):
    """GitLab 18.5, or as the configuration says: `/api/v4`, git over HTTP, and a page behind every link."""

    token_ends_on: date | None = None
    """The day from which the API token is refused; None is a day nearly a year away."""
    is_https_only = False
    """Whether a proxy in front answers everything with a redirect to https."""

    # -- initial objects -------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Create administrator, cloning account, groups and templates; continue what a restart interrupted."""
        self._ensure_user("root", is_admin=True)
        if not self.config.empty:
            self._ensure_user(self.config.gitlab_user, is_admin=False, is_auditor=True)
            for full_path in (*self.config.teams, "templates"):
                self._ensure_group(full_path)
            for name in templates.names(self.config.types):
                self._ensure_template(name)
        self.background.start()
        self._resume()
        self.save()

    def _ensure_user(self, username: str, *, is_admin: bool, is_auditor: bool = False) -> None:
        if self.state.user_named(username):
            return
        user = User(
            id=self.state.next_id("user"),
            namespace_id=self.state.next_id("namespace"),
            username=username,
            email=f"{username}@harbour.example",
            name=username.capitalize(),
            is_admin=is_admin,
            options=OPTIONS | ({"is_auditor": True} if is_auditor else {}),
            confirmed_at=now(),
        )
        self.state.users[user.id] = user

    def _ensure_group(self, full_path: str) -> Group:
        if existing := self.state.group_at(full_path):
            return existing
        above, _, path = full_path.rpartition("/")
        group = Group(
            id=self.state.next_id("namespace"),
            path=path,
            full_path=full_path,
            parent_id=self._ensure_group(above).id if above else None,
            members=[] if above else [Member(user_id=1, access_level=OWNER, created_by=1)],
        )
        self.state.groups[group.id] = group
        return group

    def _ensure_template(self, name: str) -> None:
        if self.state.project_at(f"templates/{name}"):
            return
        branch = self.config.template_branch
        project = Project(
            id=self.state.next_id("project"),
            namespace_id=self._ensure_group("templates").id,
            name=name,
            path=name,
            creator_id=1,
            visibility="internal",
            description=f"What every new {name.partition('_')[0]} repository starts from.",
            default_branch=branch,
            branches=[self.new_branch(branch, push=[MAINTAINER], merge=[MAINTAINER])],
        )
        repository.copy(templates.repository_of(name, branch), self.repository(project))
        self.state.projects[project.id] = project

    # -- start and stop --------------------------------------------------------------------------------------

    def stop(self) -> None:
        self.background.stop()
        super().stop()

    def _resume(self) -> None:
        for project in self.state.projects.values():
            if project.removing:
                self.background.after(self.config.fork_s, partial(self.erase, project))
            elif not project.settled:
                self.resume_import(project)
        for user in self.state.users.values():
            if user.deleting:
                self.background.after(self.config.fork_s, partial(self.remove_user, user))

    def dump(self) -> dict[str, Any]:
        return self.state.dump() | {"tokens": self.tokens}

    def load(self, state: dict[str, Any]) -> None:
        self.state = load_state(state)
        self.tokens = state.get("tokens", [])

    def snapshot(self) -> dict[str, Any]:
        """Return the records, every ref of every repository, and the repositories that belong to no project.

        Without the last ids: they count what was once created, not what exists.
        """
        with self.lock:
            records = super().snapshot()
            del records["last_ids"]
            known = {self.state.full_path(p): self.repository(p) for p in self.state.projects.values()}
            stray = set(self.repositories()) - set(known.values())
            refs = {path: repository.refs(place) for path, place in known.items()}
            return records | {"refs": refs, "stray_repositories": sorted(place.name for place in stray)}

    # -- every call ------------------------------------------------------------------------------------------

    def dispatch(self, request: Request, path: str) -> Response:
        """Answer, or lead to https as a proxy does that knows nothing of what is behind it."""
        if self.is_https_only:
            query = f"?{request.query_string.decode()}" if request.query_string else ""
            return Response(b"", 301, {"Location": f"{self.url.replace('http:', 'https:', 1)}{path}{query}"})
        return self.refused_write(request) or super().dispatch(request, path)

    def invoke(self, handler: Handler, request: Request, params: dict[str, str]) -> Response:
        """Check the token, then run the handler under the lock; an ApiError becomes its answer."""
        try:
            self._authenticate(request)
            self.require_organisation(request)
            with self.lock:
                return handler(request, **params)
        except ApiError as error:
            return error.response

    def _authenticate(self, request: Request) -> None:
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        token = request.headers.get("PRIVATE-TOKEN", bearer)
        self.request.token = self.find_token(token) if self.tokens else None
        if self.request.token:
            self._require_rights(request, self.request.token["scopes"])
            return
        if hmac.compare_digest(token.encode(), self.config.gitlab_token.encode()):
            self._require_lasting_token()
            self._require_rights(request, self.scopes)
            return
        if not hmac.compare_digest(token.encode(), self.config.gitlab_read_token.encode()):
            raise ApiError(401, {"message": "401 Unauthorized"})
        if request.path not in ANY_TOKEN:
            raise _insufficient_scope()

    def _require_lasting_token(self) -> None:
        self.require_lasting_token()
        if self.token_ends_on is not None and self.token_ends_on <= datetime.now(UTC).date():
            text = "Token is expired. You can either do re-authorization or token refresh."
            raise ApiError(401, {"error": "invalid_token", "error_description": text})

    def _require_rights(self, request: Request, scopes: Sequence[str]) -> None:
        """Refuse what the scopes of the token or its owner do not allow."""
        is_read = request.method in READS
        if not ("api" in scopes or ("read_api" in scopes and is_read) or request.path in ANY_TOKEN):
            raise _insufficient_scope()
        is_of_members = self.request.token is not None  # the configured account is a member of nothing
        is_write_of_theirs = not is_read and (not is_of_members or ADMINISTRATORS_ONLY.fullmatch(request.path))
        is_theirs = SETTINGS.fullmatch(request.path) or is_write_of_theirs
        if is_theirs and not self.caller().is_admin:
            raise ApiError(403, {"message": "403 Forbidden"})

    def no_route(self, request: Request, methods: set[str]) -> Response:
        """Answer git from the repositories, a browser with a page, an unknown API call with GitLab's own 404."""
        if git_http.is_git(request.path):
            return git_http.serve(self, request)
        if not request.path.startswith("/api/"):
            return pages.show(self, request)
        if methods:
            return as_json({"error": "405 Not Allowed"}, 405)
        return as_json({"error": "404 Not Found"}, 404)

    def kind_of(self, path: str) -> str:
        if path.startswith("/api/"):
            return "api"
        return "git" if git_http.is_git(path) else "page"

    # -- version and token -----------------------------------------------------------------------------------

    @route("GET", f"{API}/version")
    def version(self, _request: Request) -> Response:
        about = {"version": self.config.gitlab_version, "revision": REVISION, "kas": {"enabled": False}}
        return as_json(about | {"enterprise": self.config.gitlab_edition == "ee"})

    @route("GET", f"{API}/metadata")
    def metadata(self, request: Request) -> Response:
        return self.version(request)

    @route("GET", f"{API}/personal_access_tokens/self")
    def own_token(self, request: Request) -> Response:
        if self.request.token:
            return as_json(token_view(self.request.token))
        is_api = request.headers.get("PRIVATE-TOKEN") != self.config.gitlab_read_token
        ends_on = (is_api and self.token_ends_on) or (datetime.now(UTC) + timedelta(days=364)).date()
        return as_json(
            {
                "id": 1 if is_api else 2,
                "name": "slipway" if is_api else "clone",
                "revoked": False,
                "created_at": now(),
                "description": None,
                "scopes": list(self.scopes) if is_api else ["read_repository"],
                "user_id": 1 if is_api else 2,
                "last_used_at": None,
                "active": True,
                "expires_at": ends_on.isoformat(),
            }
        )


def _insufficient_scope() -> ApiError:
    text = "The request requires higher privileges than provided by the access token."
    return ApiError(403, {"error": "insufficient_scope", "error_description": text, "scope": "api read_api"})

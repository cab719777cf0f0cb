"""Base of the Jenkins stand-in: authentication and permissions.

A call with an API token needs no crumb. A call with a password can read, but its POSTs are refused without the crumb of
the same session. A call without credentials is the user `anonymous`; wrong credentials are a 401. Every path but a few
needs Overall/Read, which no item role gives. Source: `Jenkins.getTarget`, `DefaultCrumbIssuer`.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from werkzeug.wrappers import Request, Response

from harbour.config import HarbourConfig
from harbour.jenkins import matrix, xstream
from harbour.jenkins.pages import ApiError, forbidden, getting_ready, is_browser, jetty_error, page, unauthorized
from harbour.passwords import digest as token_digest
from harbour.passwords import matches
from harbour.server import Service, route

ADMINISTER = "hudson.model.Hudson.Administer"
IMPLIED_BY = {
    "hudson.model.Item.Discover": "hudson.model.Item.Read",
    "hudson.model.Item.ExtendedRead": "hudson.model.Item.Configure",
}
VERSION = "2.568.2"
UP, GETTING_READY, BEFORE_USERS, BEFORE_RIGHTS = "up", "getting ready", "before users", "before rights"
START_UP = (UP, GETTING_READY, BEFORE_USERS, BEFORE_RIGHTS)
"""How far a start, or a reload of the configuration, has come: a 503 page, then for a moment nobody's password is known
(401), or nobody has a right (403: every call is anonymous)."""
PLUGINS = {
    "cloudbees-folder": "6.1100",
    "credentials": "1502.v5c95e620ddfe",
    "credentials-binding": "717.v951d49b_5f3a_a_",
    "docker-workflow": "634.vedc7242b_eda_7",
    "durable-task": "639.v6cde2fe9f7e8",
    "git": "5.10.1",
    "pipeline-model-definition": "2.2277.v00573e73ddf1",
    "role-strategy": "898.vc050ed2424ca_",
    "workflow-cps": "4175",
    "workflow-job": "1571",
    "ws-cleanup": "0.49",
}
LONG_NAMES = {
    "cloudbees-folder": "Folders Plugin",
    "credentials": "Credentials Plugin",
    "git": "Jenkins Git plugin",
    "role-strategy": "Role-based Authorization Strategy",
}
READ = "hudson.model.Hudson.Read"
ALWAYS_READABLE = (
    *("/404", "/_404", "/login", "/loginError", "/logout", "/accessDenied", "/adjuncts/", "/error", "/oops", "/signup"),
    *("/tcpSlaveAgentListener", "/federatedLoginService/", "/securityRealm"),
)  # by their beginning
UNPROTECTED = frozenset({"whoAmI", "cli", "jnlpJars", "instance-identity"})
CRUMB_FIELD = "Jenkins-Crumb"
SESSION_COOKIE = "JSESSIONID.harbour"
REALM, STRATEGY = "/securityRealm", "/role-strategy/strategy"
Clock = Callable[[], float]
"""Returns the time in seconds since 1970."""


@dataclass(kw_only=True)
class User:
    """A user object. `digest` is None for a commit author, who cannot log in; "" matches no password."""

    id: str
    full_name: str
    description: str | None = None
    address: str = ""
    digest: str | None = None
    tokens: list[str] = field(default_factory=list)  # digests of API tokens


@dataclass(kw_only=True)
class Role:
    """A role: `sids` holds pairs of USER, GROUP or EITHER and a name, which is not checked."""

    pattern: str = ""
    permissions: list[str] = field(default_factory=list)
    sids: set[tuple[str, str]] = field(default_factory=set)

    def is_assigned_to(self, caller: Caller) -> bool:
        """Return whether the role is assigned to this caller; letter case does not matter."""
        return any(caller.is_meant_by(kind, sid) for kind, sid in self.sids)


@dataclass(frozen=True)
class Caller:
    id: str = "anonymous"
    by_token: bool = False

    def is_meant_by(self, kind: str, sid: str) -> bool:
        """Return whether an entry for this sid is for the caller; letter case does not matter."""
        own = {("user", self.id.lower()), ("either", self.id.lower())}
        groups = set() if self.id == "anonymous" else {("group", "authenticated"), ("either", "authenticated")}
        return (kind.lower(), sid.lower()) in own | groups


class JenkinsCore(Service):
    """State, authentication and permissions; the routes are in the subclasses."""

    name = "jenkins"
    start_up = UP
    is_token_revoked = False

    def __init__(self, config: HarbourConfig, now: Clock = time.time) -> None:
        super().__init__()
        self.config = config
        self.now = now
        self.users: dict[str, User] = {}  # by lower-cased id: `Bob` and `bob` are one account
        self.roles: dict[str, dict[str, Role]] = {"globalRoles": {}, "projectRoles": {}, "slaveRoles": {}}
        self.items: dict[str, str] = {}  # XML by full name; `dev/shop_dev` lies in the folder `dev`
        self.session = secrets.token_hex(4)  # changes with each restart
        self.plugins = {} if config.empty else dict(PLUGINS)
        self.has_own_users = True  # False: another security realm is active
        self.has_role_strategy = not config.empty  # False: another authorization strategy is active
        self.matrix: set[matrix.Entry] | None = None
        """The entries for the whole Jenkins while project-based matrix authorization is active, else None."""

    def dispatch(self, request: Request, path: str) -> Response:
        with self.lock:
            try:
                self._require_ready()
                request.environ["harbour.caller"] = self._authenticate(request)
                self._require_crumb(request)
                self._require_read(request, path)
                self._require_active(path)
                response = super().dispatch(request, path)
            except ApiError as error:
                response = error.response
        if response.status_code not in (401, 404, 405):  # those are the servlet container's own pages
            response.headers.update({"X-Jenkins": VERSION, "X-Hudson": "1.395", "X-Jenkins-Session": self.session})
        return response

    def no_route(self, request: Request, methods: set[str]) -> Response:  # noqa: ARG002 - a hook: overrides use it
        if not methods:
            return jetty_error(404)
        answer = jetty_error(405)
        answer.headers["Allow"] = ", ".join(sorted(methods))
        return answer

    def _require_ready(self) -> None:
        if self.start_up == GETTING_READY:
            raise ApiError(getting_ready())

    def _authenticate(self, request: Request) -> Caller:
        if self.start_up == BEFORE_RIGHTS:
            return Caller()
        scheme, _, _ = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return Caller()
        given = request.authorization
        if given is None or given.username is None or given.password is None or self.start_up == BEFORE_USERS:
            raise unauthorized()
        if (
            not self.is_token_revoked
            and given.username.lower() == self.config.jenkins_user.lower()
            and _same(given.password, self.config.jenkins_token)
        ):
            return Caller(self.config.jenkins_user, by_token=True)
        user = self.users.get(given.username.lower())
        if user is not None and user.tokens and token_digest(given.password, owner="token") in user.tokens:
            return Caller(user.id, by_token=True)
        if user is None or not matches(given.password, user.digest, owner=user.id):
            raise unauthorized()
        return Caller(user.id)

    def _require_crumb(self, request: Request) -> None:
        caller, session = caller_of(request), request.cookies.get(SESSION_COOKIE, "")
        if request.method != "POST" or caller.by_token:
            return
        if not session or request.headers.get(CRUMB_FIELD) != self._crumb(caller, session):
            text = "No valid crumb was included in the request"
            raise ApiError(page("Error 403", f"<h2>HTTP ERROR 403 {text}</h2>", status=403))

    def _crumb(self, caller: Caller, session: str) -> str:
        return hmac.new(self.session.encode(), f"{caller.id};{session}".encode(), "sha256").hexdigest()

    @route("GET", "/crumbIssuer/api/json")
    def issue_crumb(self, request: Request) -> Response:
        session = request.cookies.get(SESSION_COOKIE) or secrets.token_hex(16)
        crumb = self._crumb(caller_of(request), session)
        shown = {
            "_class": "hudson.security.csrf.DefaultCrumbIssuer",
            "crumb": crumb,
            "crumbRequestField": CRUMB_FIELD,
        }
        answer = Response(json.dumps(shown), content_type="application/json;charset=utf-8")
        answer.set_cookie(SESSION_COOKIE, session, httponly=True)
        return answer

    def _require_read(self, request: Request, path: str) -> None:
        """Refuse what a page of Jenkins refuses without Overall/Read; a browser sees pages, there is no login form."""
        is_page_without_login = is_browser(request) and "Authorization" not in request.headers
        if is_page_without_login or path.startswith(ALWAYS_READABLE) or path.split("/")[1] in UNPROTECTED:
            return
        self.require(request, READ)

    def _require_active(self, path: str) -> None:
        """Answer 404 for the URLs of a security realm or a strategy that is not the active one."""
        is_role_based = self.has_role_strategy and "role-strategy" in self.plugins
        if (path.startswith(REALM) and not self.has_own_users) or (path.startswith(STRATEGY) and not is_role_based):
            raise ApiError(jetty_error(404))

    @property
    def our_permissions(self) -> list[str]:
        """Return what the role `admin`, which our account has, permits in all of Jenkins."""
        return list(self.roles["globalRoles"]["admin"].permissions)

    @our_permissions.setter
    def our_permissions(self, permissions: list[str]) -> None:
        self.roles["globalRoles"]["admin"].permissions = list(permissions)

    def permits(self, caller: Caller, permission: str, item: str | None = None) -> bool:
        """Return whether the active authorization grants it."""
        granted = self._by_roles(caller, item) if self.matrix is None else self._by_matrix(caller, item)
        return not granted.isdisjoint({ADMINISTER, permission, IMPLIED_BY.get(permission, permission)})

    def _by_roles(self, caller: Caller, item: str | None) -> set[str]:
        """Return what the caller's global roles, and the project roles that match `item`, grant.

        A pattern has to match the item's *whole* full name: `.*_dev` does not open the folder `dev`.
        """
        roles = list(self.roles["globalRoles"].values())
        if item is not None:
            roles += [role for role in self.roles["projectRoles"].values() if re.fullmatch(role.pattern, item)]
        return {name for role in roles if role.is_assigned_to(caller) for name in role.permissions}

    def _by_matrix(self, caller: Caller, item: str | None) -> set[str]:
        """Return what the matrix grants for all of Jenkins, and in the item and its folders."""
        entries = set(self.matrix or ())
        while item:
            root = xstream.read(self.items[item])
            entries |= set(matrix.entries_of(root))
            item = None if matrix.blocks_inheritance(root) else item.rpartition("/")[0]
        return {permission for kind, permission, sid in entries if caller.is_meant_by(kind, sid)}

    def use_matrix(self) -> None:
        """Activate project-based matrix authorization: the administrator may do all, people may open Jenkins."""
        self.plugins["matrix-auth"] = "3.2.6"
        self.has_role_strategy = False
        self.matrix = {("USER", ADMINISTER, self.config.jenkins_user), ("GROUP", READ, "authenticated")}

    def require(self, request: Request, permission: str, item: str | None = None) -> None:
        """Refuse with 403 unless the caller has the permission."""
        caller = caller_of(request)
        if not self.permits(caller, permission, item):
            raise forbidden(caller.id, permission, path=request.path)


def caller_of(request: Request) -> Caller:
    caller: Caller = request.environ["harbour.caller"]
    return caller


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())

"""What a platform team makes once on Argo CD: log-in, tokens, projects, clusters, and the two ConfigMaps.

The ConfigMaps are Kubernetes' own: a real installation changes them with kubectl, at the address of its API server.
Here that API is below `/kubernetes`. Source: argo-cd 3.5 `server/session`, `server/account CreateToken`,
`server/project Create, Update`, `server/cluster Create`, `util/rbac`.
"""

from __future__ import annotations

import csv
import fnmatch
import hmac
import json
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any

from werkzeug.wrappers import Request, Response

from harbour.argocd.checks import ArgoCDChecks
from harbour.argocd.core import (
    DENIED,
    INVALID,
    NOT_FOUND,
    OUR_ACCOUNT,
    UNAUTHENTICATED,
    ApiError,
    answer,
    body_of,
    flag,
    object_in,
    token_of,
)
from harbour.config import HarbourConfig
from harbour.passwords import digest
from harbour.server import route

ADMIN = "admin"
CONFIG_MAPS = ("argocd-cm", "argocd-rbac-cm")
KUBERNETES = "/kubernetes/"
CONFIG_MAP = f"{KUBERNETES}api/v1/namespaces/argocd/configmaps/:name"
MERGE_PATCH = "application/merge-patch+json"
OWN_MATTERS = ("account", "session", "settings")  # no policy is asked about them


class ArgoCDSetup(ArgoCDChecks):
    """Accounts beside the configured one: `admin`, who may do everything, and those of `argocd-cm`."""

    def __init__(self, config: HarbourConfig, now: Callable[[], float] = time.time) -> None:
        super().__init__(config, now)
        self.config_maps: dict[str, dict[str, str]] = {name: {} for name in CONFIG_MAPS}
        self.account_tokens: dict[str, str] = {}  # the account of each token, by a digest of its text

    # -- accounts --------------------------------------------------------------------------------------------

    def account_of(self, request: Request) -> str:
        """Return the account of the request's token, "" for a token that is not valid."""
        issued = self.account_tokens.get(digest(token_of(request), owner="token")) if self.account_tokens else None
        return issued or ("" if self.config.empty else super().account_of(request))

    def is_allowed(self, account: str, resource: str, action: str, thing: str) -> bool:
        """Ask the policy; the configured account of a harbour that is not empty has every right but `denied`."""
        if account == ADMIN or resource in OWN_MATTERS:
            return True
        if account == OUR_ACCOUNT and not self.config.empty:
            return super().is_allowed(account, resource, action, thing)
        return any(
            fnmatch.fnmatchcase(resource, line[0])
            and fnmatch.fnmatchcase(action, line[1])
            and fnmatch.fnmatchcase(thing, line[2])
            for line in self._policy_of(account)
        )

    def _policy_of(self, account: str) -> Iterator[tuple[str, str, str]]:
        """Yield resource, action and object of every line that allows the account, or a role of its, something."""
        texts = self.config_maps["argocd-rbac-cm"]
        named = (name for name in texts if name == "policy.csv" or fnmatch.fnmatchcase(name, "policy.*.csv"))
        lines = [[field.strip() for field in line] for name in named for line in csv.reader(texts[name].splitlines())]
        roles = {line[2] for line in lines if line[0] == "g" and line[1] == account} | {account}
        if not lines:
            roles.add(texts.get("policy.default", ""))
        for line in lines:
            if line[0] == "p" and line[1] in roles and line[5:] == ["allow"]:
                yield line[2], line[3], line[4]

    def require_token(self, request: Request) -> None:
        """Check the token; Kubernetes has credentials of its own, here those of the first administrator."""
        if not request.path.startswith(KUBERNETES):
            super().require_token(request)
        elif not hmac.compare_digest(token_of(request).encode(), self.config.argocd_token.encode()):
            raise ApiError(UNAUTHENTICATED, "Unauthorized")

    def require_right(self, request: Request) -> None:
        if not request.path.startswith(KUBERNETES):
            super().require_right(request)

    def thing_of(self, request: Request) -> str:
        """Return the object of a call: PROJECT/NAME of an application, the address of a repository, a name."""
        resource, _, rest = request.path.removeprefix("/api/v1/").partition("/")
        body = body_of(request)
        sent = body if isinstance(body, dict) else {}
        name = rest.split("/")[0] or str(object_in(sent.get("metadata"), "metadata").get("name") or "")
        if resource == "applications":
            spec = object_in(sent.get("spec"), "spec")
            return f"{request.args.get('project') or spec.get('project') or sent.get('project') or '*'}/{name}"
        if resource in ("repositories", "repocreds"):
            return str(sent.get("repo") or sent.get("url") or rest)
        return name

    @route("POST", "/api/v1/session")
    def log_in(self, request: Request) -> Response:
        given = object_in(body_of(request), "SessionCreateRequest")
        if not (given.get("username") == ADMIN and given.get("password") == self.config.argocd_token):
            raise ApiError(UNAUTHENTICATED, "Invalid username or password")
        return answer({"token": self._issue(ADMIN)})

    @route("POST", "/api/v1/account/:name/token")
    def create_token(self, request: Request, name: str) -> Response:
        """Create a token of an account that has the capability apiKey in argocd-cm."""
        if self.account_of(request) not in (ADMIN, name):
            raise ApiError(DENIED, f"permission denied: accounts, update, {name}")
        capabilities = self.config_maps["argocd-cm"].get(f"accounts.{name}")
        if capabilities is None:
            raise ApiError(NOT_FOUND, f"account '{name}' does not exist")
        if "apiKey" not in capabilities.replace(" ", "").split(","):
            raise ApiError(INVALID, f"account '{name}' does not have apiKey capability")
        return answer({"token": self._issue(name)})

    def _issue(self, account: str) -> str:
        text = f"e30.{secrets.token_urlsafe(24)}.{secrets.token_urlsafe(24)}"
        with self.lock:
            self.account_tokens[digest(text, owner="token")] = account
        return text

    # -- projects and clusters -------------------------------------------------------------------------------

    @route("POST", "/api/v1/projects")
    def create_project(self, request: Request) -> Response:
        """Create a project: what its spec does not list, it does not permit."""
        project = object_in(object_in(body_of(request), "ProjectCreateRequest").get("project"), "project")
        name, spec = _project_in(project)
        with self.lock:
            if name in self.projects and self.projects[name] != spec and not flag(request, "upsert"):
                reason = "existing project spec is different, use upsert flag to force update"
                raise ApiError(INVALID, reason)
            self.projects[name] = spec
        return answer({"metadata": {"name": name, "namespace": "argocd"}, "spec": spec, "status": {}})

    @route("PUT", "/api/v1/projects/:name")
    def update_project(self, request: Request, name: str) -> Response:
        project = object_in(object_in(body_of(request), "ProjectUpdateRequest").get("project"), "project")
        with self.lock:
            if name not in self.projects:
                raise ApiError(NOT_FOUND, f'appprojects.argoproj.io "{name}" not found')
            self.projects[name] = _project_in(project)[1]
        return answer({"metadata": {"name": name, "namespace": "argocd"}, "spec": self.projects[name], "status": {}})

    @route("POST", "/api/v1/clusters")
    def create_cluster(self, request: Request) -> Response:
        """Register a cluster. The real Argo CD asks it for its version first; there is no cluster here to ask."""
        cluster = object_in(body_of(request), "Cluster")
        server = str(cluster.get("server") or "")
        if not server.startswith("https://"):
            raise ApiError(INVALID, f'cluster server "{server}" is not an address')
        name = str(cluster.get("name") or server)
        with self.lock:
            self.known_clusters[name] = server
        return answer({"name": name, "server": server, "config": {}, "connectionState": {"status": ""}})

    # -- ConfigMaps ------------------------------------------------------------------------------------------

    @route("PATCH", CONFIG_MAP)
    def patch_config_map(self, request: Request, name: str) -> Response:
        """Merge into a ConfigMap, as `kubectl patch --type merge` does: null removes a key."""
        if name not in self.config_maps:
            return answer({"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404}, 404)
        if request.mimetype != MERGE_PATCH:
            return answer({"kind": "Status", "status": "Failure", "reason": "UnsupportedMediaType", "code": 415}, 415)
        changed = object_in(json.loads(request.get_data()).get("data"), "data")
        with self.lock:
            merged = self.config_maps[name] | changed
            self.config_maps[name] = {key: value for key, value in merged.items() if value is not None}
        return answer({"kind": "ConfigMap", "metadata": {"name": name}, "data": self.config_maps[name]})

    def setup_state(self) -> dict[str, Any]:
        """Return what the platform team made, as JSON values."""
        return {
            "projects": self.projects,
            "clusters": self.known_clusters,
            "config_maps": self.config_maps,
            "account_tokens": self.account_tokens,
        }

    def load_setup(self, kept: dict[str, Any]) -> None:
        """Restore what `setup_state` returned."""
        self.projects, self.known_clusters = kept["projects"], kept["clusters"]
        self.config_maps, self.account_tokens = kept["config_maps"], kept["account_tokens"]


def _project_in(project: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    name = str(object_in(project.get("metadata"), "metadata").get("name") or "")
    if not name:
        raise ApiError(INVALID, "project name is missing")
    return name, object_in(project.get("spec"), "spec")

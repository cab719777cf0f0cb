"""Registered repositories and their connection state.

Registration first tests the connection with a real `git ls-remote`. A wrong password is a *500*, a missing repository
a *403*, and "exists already" compares every field, inherited credentials included: the same body without credentials
sent twice is "different" where a template serves it. A connection state is up to an hour old, also after a change.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from werkzeug.wrappers import Request, Response

from harbour.argocd.core import (
    DENIED,
    INVALID,
    UNAVAILABLE,
    UNKNOWN,
    ApiError,
    answer,
    body_of,
    flag,
    listed,
    object_in,
    timestamp,
)
from harbour.argocd.credential_templates import ArgoCDTemplates
from harbour.argocd.git import Credentials, GitError
from harbour.config import HarbourConfig
from harbour.server import route

Repository = dict[str, Any]
FIELDS = frozenset(
    {"repo", "type", "name", "username", "password", "project", "insecure", "insecureIgnoreHostKey", "enableLfs"}
    | {"proxy", "noProxy", "forceHttpBasicAuth", "bearerToken", "sshPrivateKey", "depth"}
    | {"tlsClientCertData", "tlsClientCertKey"}
)
SHOWN = ("repo", "type", "name", "project", "insecure", "enableLfs", "proxy", "forceHttpBasicAuth", "inheritedCreds")
UNTESTED = {"status": "", "message": "", "attemptedAt": None}
TESTED = UNTESTED | {"status": "Successful"}
COMPARED = sorted(FIELDS | {"inheritedCreds"})
SECRETS_PATH = "/api/v1/namespaces/argocd/secrets"
CONNECTION_CACHE_S = 3600.0


class ArgoCDRepositories(ArgoCDTemplates):
    """The registered repositories, as clients see them."""

    def __init__(self, config: HarbourConfig, now: Callable[[], float] = time.time) -> None:
        super().__init__(config, now)
        self.repositories: dict[str, Repository] = {}
        # time and problem of the last test; a cache, lost with a restart
        self._tested: dict[str, tuple[float, str]] = {}

    @route("POST", "/api/v1/repositories")
    def create_repository(self, request: Request) -> Response:
        body = body_of(request)
        if not body:
            raise ApiError(INVALID, "missing payload in request")
        given = {key: value for key, value in object_in(body, "Repository").items() if key in FIELDS and value}
        if not given.get("project"):  # a project's own repository is stored without a test
            self._require_connection(given)
        self.require_kubernetes("Post", SECRETS_PATH)
        with self.lock:
            key = key_of(given.get("repo", ""), given.get("project", ""))
            existing = self.repositories.get(key)
            if existing is None:
                self.repositories[key] = given
            elif self._inheriting(existing) != given:  # the stored one has a type, the sent one may not
                return self._update(key, given, upsert=flag(request, "upsert"))
        shown = {name: given[name] for name in ("repo", "type", "name") if name in given}
        return answer(shown | {"connectionState": UNTESTED})

    def _require_connection(self, repository: Repository) -> None:
        try:
            self._test(repository)
        except GitError as error:
            if error.code == "Unavailable":
                raise ApiError(UNAVAILABLE, str(error)) from error
            raise ApiError(UNKNOWN, f"error testing repository connectivity: {error}") from error

    def _update(self, key: str, given: Repository, *, upsert: bool) -> Response:
        if not upsert:
            existing = self._inheriting(self.repositories[key])
            names = [name for name in COMPARED if existing.get(name) != given.get(name)]
            keys = ",".join(name[0].upper() + name[1:] for name in names)
            reason = "existing repository spec is different; use upsert flag to force update"
            raise ApiError(INVALID, f'{reason}; difference in keys "{keys}"')
        self.repositories[key] = given
        return answer(given | {"connectionState": TESTED})  # with the password, as Argo CD answers it

    def _inheriting(self, repository: Repository) -> Repository:
        """Return what is stored, with the credentials that it has from a template."""
        stored = _read(repository)
        template = None if _has_credentials(stored) else self.template_for(stored.get("repo", ""))
        if template is None:
            return stored
        inherited = {"username": template.username, "password": template.password}
        return stored | {key: value for key, value in inherited.items() if value} | {"inheritedCreds": True}

    @route("GET", "/api/v1/repositories")
    def list_repositories(self, request: Request) -> Response:
        force = flag(request, "forceRefresh")
        account = self.account_of(request)
        with self.lock:
            rows = [each for each in sorted(self.repositories.items()) if self._may_see(account, each[1]["repo"])]
        return listed([self._shown(key, row, force=force) for key, row in rows])

    @route("GET", "/api/v1/repositories/:repo")
    def get_repository(self, request: Request, repo: str) -> Response:
        key = self._found_repository(repo, request.args.get("appProject", ""))
        return answer(self._shown(key, self.repositories[key], force=flag(request, "forceRefresh")))

    @route("DELETE", "/api/v1/repositories/:repo")
    def delete_repository(self, request: Request, repo: str) -> Response:
        with self.lock:
            key = self._found_repository(repo, request.args.get("appProject", ""))
            self.require_kubernetes("Delete", SECRETS_PATH)
            del self.repositories[key]
            self._tested.pop(key, None)
        return answer({})

    def _found_repository(self, url: str, project: str) -> str:
        with self.lock:
            rows = {key: row for key, row in self.repositories.items() if normalised(row["repo"]) == normalised(url)}
        if not rows:
            raise ApiError(DENIED, "permission denied")
        matching = [key for key, row in rows.items() if row.get("project", "") == project]
        if matching:
            return matching[0]
        if len(rows) == 1 and not project:
            return next(iter(rows))
        raise ApiError(UNKNOWN, f'repository not found for url "{url}" and project "{project}"')

    def _shown(self, key: str, repository: Repository, *, force: bool) -> Repository:
        stored = self._inheriting(repository)
        shown = {name: stored[name] for name in SHOWN if name in stored}
        return shown | {"connectionState": self._connection(key, stored, force=force)}

    def _connection(self, key: str, repository: Repository, *, force: bool) -> dict[str, Any]:
        tested = self._tested.get(key)
        if tested is None or force or self.now() - tested[0] > CONNECTION_CACHE_S:
            tested = self._tested[key] = (self.now(), self._problem(repository))
        at, problem = tested
        status = "Failed" if problem else "Successful"
        message = f"Unable to connect to repository: {problem}" if problem else ""
        return {"status": status, "message": message, "attemptedAt": timestamp(at)}

    def _problem(self, repository: Repository) -> str:
        """Return why the repository cannot be read, "" when it can."""
        try:
            self._test(repository)
        except GitError as error:
            about = "" if error.code == "Unavailable" else "error testing repository connectivity: "
            return f"rpc error: code = {error.code} desc = {about}{error}"
        return ""

    def _test(self, repository: Repository) -> None:
        self.check_readable(str(repository.get("repo", "")), _credentials(self._inheriting(repository)))

    def credentials_for(self, url: str, project: str) -> Credentials:
        """Return the credentials for applications of `project`: the project's, else the global ones, else inherited.

        A repository that is not registered inherits, too.
        """
        with self.lock:
            rows = (self.repositories.get(key_of(url, owner)) for owner in (project, ""))
            row = next((row for row in rows if row is not None), {"repo": url})
            return _credentials(self._inheriting(row))

    def is_registered(self, url: str, project: str) -> bool:
        return any(key_of(url, owner) in self.repositories for owner in (project, ""))


def normalised(url: str) -> str:
    """Return the URL in its form for comparisons. A trailing slash makes it another repository."""
    return url.lower().strip().removesuffix(".git")


def key_of(url: str, project: str) -> str:
    return f"{project} {normalised(url)}"


def _read(repository: Repository) -> Repository:
    return {"type": "git"} | repository


def _has_credentials(repository: Repository) -> bool:
    return any(repository.get(name) for name in ("username", "password", "bearerToken", "sshPrivateKey"))


def _credentials(repository: Repository) -> Credentials:
    return Credentials(repository.get("username", ""), repository.get("password", ""))

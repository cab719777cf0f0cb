"""Credential templates (`/repocreds`): credentials for every repository whose address begins with theirs.

The longest address that fits serves; a repository's own credentials outrank them all, also stale ones. No answer
contains a password.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from werkzeug.wrappers import Request, Response

from harbour.argocd.core import INVALID, NOT_FOUND, ApiError, ArgoCDCore, answer, body_of, flag, listed, object_in
from harbour.argocd.git import Credentials
from harbour.config import HarbourConfig
from harbour.server import route

BASE = "/api/v1/repocreds"
FIELDS = frozenset(
    {"url", "username", "password", "type", "sshPrivateKey", "bearerToken", "tlsClientCertData", "tlsClientCertKey"}
    | {"enableOCI", "forceHttpBasicAuth", "proxy", "noProxy", "useAzureWorkloadIdentity"}
)
Template = dict[str, Any]


class ArgoCDTemplates(ArgoCDCore):
    """The templates, by their address."""

    def __init__(self, config: HarbourConfig, now: Callable[[], float] = time.time) -> None:
        super().__init__(config, now)
        self.templates: dict[str, Template] = {}

    @route("GET", BASE)
    def list_templates(self, request: Request) -> Response:
        """Answer the templates that the account may see; a list is never refused."""
        account = self.account_of(request)
        with self.lock:
            rows = [row for url, row in sorted(self.templates.items()) if self._may_see(account, url)]
            return listed([_shown(row) for row in rows])

    def _may_see(self, account: str, url: str) -> bool:
        return self.is_allowed(account, "repositories", "get", url)

    @route("POST", BASE)
    def create_template(self, request: Request) -> Response:
        """Store it without any test of the credentials."""
        given = _given(request)
        self.require_kubernetes("Post", "/api/v1/namespaces/argocd/secrets")
        with self.lock:
            existing = self.templates.get(given["url"])
            if existing is not None and existing != given and not flag(request, "upsert"):
                keys = ",".join(_differences(existing, given))
                reason = "existing repository credentials spec is different; use upsert flag to force update"
                raise ApiError(INVALID, f'{reason}; difference in keys "{keys}"')
            self.templates[given["url"]] = given
        return answer({"url": given["url"]})

    @route("PUT", f"{BASE}/:url")
    def put_template(self, request: Request, url: str) -> Response:
        """Refuse: the server looks for the address as it stands in the path, still encoded, and never finds it."""
        encoded = str(request.environ.get("RAW_URI", url)).partition("?")[0].rpartition("/")[2]
        raise ApiError(NOT_FOUND, f"repository credentials '{encoded}' not found")

    @route("DELETE", f"{BASE}/:url")
    def delete_template(self, request: Request, url: str) -> Response:  # noqa: ARG002 - as above
        self.require_kubernetes("Delete", "/api/v1/namespaces/argocd/secrets")
        with self.lock:
            if self.templates.pop(url, None) is None:
                raise ApiError(NOT_FOUND, f"repository credentials '{url}' not found")
        return answer({})

    def template_for(self, url: str) -> Credentials | None:
        """Return the credentials that a repository without its own inherits."""
        with self.lock:
            fitting = [each for each in self.templates if url.lower().startswith(each.lower())]
            if not fitting:
                return None
            best = self.templates[max(fitting, key=len)]
        return Credentials(best.get("username", ""), best.get("password", ""))


def _given(request: Request) -> Template:
    body = object_in(body_of(request), "RepoCreds")
    given = {key: value for key, value in body.items() if key in FIELDS and value}
    if not given.get("url"):
        raise ApiError(INVALID, "missing payload in request")
    return {"type": "git"} | given


def _differences(one: Template, other: Template) -> list[str]:
    return [name[0].upper() + name[1:] for name in sorted(FIELDS) if one.get(name) != other.get(name)]


def _shown(template: Template) -> Template:
    return {name: template[name] for name in ("url", "username") if template.get(name)}

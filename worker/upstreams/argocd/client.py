"""The Argo CD client: repositories, applications and syncs.

Source: argoproj/argo-cd 3.5.
"""

from __future__ import annotations

import copy

from worker.upstreams.argocd.applications import MARKER, Application, Applications
from worker.upstreams.argocd.credential_templates import Credentials, CredentialTemplates
from worker.upstreams.argocd.errors import refusal
from worker.upstreams.argocd.repositories import Repositories, Repository
from worker.upstreams.argocd.syncs import Syncs
from worker.upstreams.base import Api
from worker.upstreams.http import Http, Limits

__all__ = ["LIMITS", "MARKER", "Application", "ArgoCD", "Credentials", "Repository", "argocd_headers"]

LIMITS = Limits(read_s=90.0)  # Argo CD sends nothing while it lists refs and renders a whole chart


def argocd_headers(token: str) -> dict[str, str]:
    """Return what every call needs; `token` may begin with the word Bearer.

    The content type is compared as a whole, on every method but GET, with or without a body.
    """
    word, _, rest = token.strip().partition(" ")
    bare = rest.strip() if word.lower() == "bearer" else token.strip()
    return {
        "Authorization": f"Bearer {bare}",
        "Content-Type": "application/json",
        "Accept": "application/json",
    }


class ArgoCD:
    """Argo CD's templates, repositories, applications and syncs. `http` carries `argocd_headers` and `LIMITS`."""

    def __init__(self, http: Http) -> None:
        self._api = Api(http, translate=refusal, root=("api", "v1"))
        self.templates = CredentialTemplates(self._api)
        self.repositories = Repositories(self._api, self.templates)
        self._bind(None)

    def in_namespace(self, namespace: str | None) -> ArgoCD:
        """Return the same client for applications in this namespace of Kubernetes; None: in Argo CD's own.

        Source: Argo CD, "Applications in any namespace".
        """
        other = copy.copy(self)
        other._bind(namespace)  # noqa: SLF001 - a copy of ourselves
        return other

    def _bind(self, namespace: str | None) -> None:
        self.applications = Applications(self._api, namespace)
        self.syncs = Syncs(self._api, self.applications)

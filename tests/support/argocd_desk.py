"""A person's client for the Argo CD stand-in, with a clock and a git server that the test controls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import requests

from harbour.argocd.app import ArgoCD
from support.argocd import Clock
from support.git_server import USER, GitServer

CHART = "apiVersion: v2\nname: shop\nversion: 0.1.0\n"

CONFIG_MAP = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}-cm
data:
  tag: {{ .Values.image.tag | quote }}
"""


@dataclass
class Desk:
    """A client of the stand-in: what it answers is a status and a body."""

    service: ArgoCD
    clock: Clock
    git: GitServer

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self.service.config.argocd_token}", "Content-Type": "application/json"}
        reply = requests.request(method, f"{self.service.url}/api/v1/{path}", json=body, headers=headers, timeout=20)
        return reply.status_code, reply.json()

    def refusal(self, method: str, path: str, body: Any = None) -> tuple[int, int, str]:
        status, said = self.ask(method, path, body)
        assert said["error"] == said["message"]
        return status, said["code"], said["message"]

    def application(self, name: str = "shop", repository: str = "good", **spec: Any) -> dict[str, Any]:
        helm = {"releaseName": name, "parameters": [{"name": "image.tag", "value": "1", "forceString": True}]}
        source = {"repoURL": self.git.url_of(repository), "path": ".", "targetRevision": "main", "helm": helm}
        whole = {
            "project": "dev",
            "source": source,
            "destination": {"name": "dev-cluster", "namespace": name},
            "syncPolicy": {"syncOptions": ["CreateNamespace=true"]},
        }
        finalizers = ["resources-finalizer.argocd.argoproj.io"]
        return {"metadata": {"name": name, "finalizers": finalizers}, "spec": whole | spec}

    def create(self, name: str = "shop", repository: str = "good", **spec: Any) -> dict[str, Any]:
        """Create an application and wait until it has been compared."""
        status, said = self.ask("POST", "applications", self.application(name, repository, **spec))
        assert status == 200, said
        self.clock.at += 60
        return self.read(name)

    def read(self, name: str = "shop", project: str = "dev") -> dict[str, Any]:
        status, said = self.ask("GET", f"applications/{name}?project={project}")
        assert status == 200, said
        shown: dict[str, Any] = said
        return shown

    def sync(self, name: str = "shop", project: str = "dev", **body: Any) -> dict[str, Any]:
        """Sync, wait for the end of everything and return the status."""
        status, said = self.ask("POST", f"applications/{name}/sync", {"project": project, "prune": True, **body})
        assert status == 200, said
        self.clock.at += 120
        shown: dict[str, Any] = self.read(name, project)["status"]
        return shown

    def register(self, repository: str = "good", *, upsert: bool = False, **fields: Any) -> tuple[int, Any]:
        login = {"username": USER, "password": self.git.password}
        body = {"repo": self.git.url_of(repository), "type": "git", **login, **fields}
        kept = {key: value for key, value in body.items() if value is not None}
        return self.ask("POST", f"repositories?upsert={str(upsert).lower()}", kept)

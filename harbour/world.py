"""The four stand-ins and their container registry as one: start, stop, calls, snapshot."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from harbour.argocd.app import ArgoCD
from harbour.config import CREDENTIALS, HarbourConfig
from harbour.elasticsearch.app import Elasticsearch
from harbour.gitlab.app import GitLab
from harbour.jenkins.app import Jenkins
from harbour.registry import Registry
from harbour.server import Call, Service


class Harbour:
    """All stand-ins under `config.root`; a second harbour with the same root continues where the first one stopped.

    `now` returns seconds since 1970: the clock of Jenkins' builds and of Argo CD's syncs.
    """

    def __init__(self, config: HarbourConfig, now: Callable[[], float] = time.time) -> None:
        self.config = config
        self.registry = Registry(config.images)
        self.gitlab = GitLab(config)
        self.jenkins = Jenkins(config, now)
        self.jenkins.registry = self.registry
        self.argocd = ArgoCD(config, now)
        self.argocd.registry = self.registry
        self.elasticsearch = Elasticsearch(config)
        self.services: tuple[Service, ...] = (self.gitlab, self.jenkins, self.argocd, self.elasticsearch)

    def replace_credential(self, setting: str, value: str) -> None:
        """Accept this value of a secret setting from now on and no longer the one before, as after an exchange."""
        changed: dict[str, Any] = {CREDENTIALS[setting]: value}
        self.config = replace(self.config, **changed)
        for service in (self.gitlab, self.jenkins, self.argocd, self.elasticsearch):
            with service.lock:
                service.config = self.config
        self.elasticsearch.accept_password()

    def start(self) -> None:
        config = self.config
        self.registry.keep(config.root / "registry.json")
        for service in self.services:
            service.keep(config.root / f"{service.name}.json")
            service.start(config.host, getattr(config, f"{service.name}_port"))

    def stop(self) -> None:
        for service in self.services:
            service.stop()
        self.registry.close()

    def service(self, name: str) -> Service | None:
        return next((service for service in self.services if service.name == name), None)

    def clear_faults(self) -> None:
        """Remove every injected fault."""
        for service in self.services:
            service.clear_faults()

    def calls(self) -> list[Call]:
        """Return all calls of all services in the order in which they were answered."""
        calls = [call for service in self.services for call in list(service.calls)]
        return sorted(calls, key=lambda call: call.order)

    def writes(self) -> list[Call]:
        return [call for call in self.calls() if call.is_write]

    def snapshot(self) -> dict[str, Any]:
        """Return the state of all four as plain JSON values: equal when nothing has changed."""
        return {service.name: service.snapshot() for service in self.services}

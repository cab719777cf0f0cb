"""An Argo CD stand-in with a clock and a git server that a test controls, and a person's client for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.argocd import Clock
from support.argocd_desk import CHART, CONFIG_MAP, Desk
from support.git_server import GitServer, served

from harbour.argocd.app import ArgoCD
from harbour.argocd.project_rules import project_spec
from harbour.config import HarbourConfig


@pytest.fixture
def git(tmp_path: Path) -> Iterator[GitServer]:
    with served(tmp_path / "git") as server:
        server.add("good", {"Chart.yaml": CHART, "templates/cm.yaml": CONFIG_MAP})
        yield server


@pytest.fixture
def desk(config: HarbourConfig, git: GitServer) -> Iterator[Desk]:
    """Return a client of a stand-in on which the repository `good` is registered."""
    clock = Clock()
    service = ArgoCD(replace(config, sync_s=10), now=clock)
    service.projects["dev"] = project_spec("dev-cluster", "*")  # the rules are the tests' own matter
    service.start()
    desk = Desk(service, clock, git)
    assert desk.register()[0] == 200
    yield desk
    service.stop()

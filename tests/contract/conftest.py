"""A harbour for every test that wants one: real sockets, its own directory, closed with the test."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harbour.config import HarbourConfig
from harbour.elasticsearch.app import Elasticsearch
from harbour.gitlab.app import GitLab

if TYPE_CHECKING:
    from harbour.world import Harbour


@pytest.fixture
def config(tmp_path: Path) -> HarbourConfig:
    return HarbourConfig(
        root=tmp_path / "harbour",
        gitlab_token="glpat-made-up",
        gitlab_user="cloner",
        gitlab_read_token="gldt-made-up",
        jenkins_user="automation",
        jenkins_token="11made-up",
        argocd_token="argo.made.up",
        elasticsearch_user="elastic",
        elasticsearch_password="elastic-made-up",
        fork_s=0.1,
    )


@pytest.fixture
def harbour(config: HarbourConfig) -> Iterator[Harbour]:
    from harbour.world import Harbour

    opened = Harbour(config)
    opened.start()
    yield opened
    opened.stop()


@pytest.fixture
def gitlab(config: HarbourConfig) -> Iterator[GitLab]:
    service = GitLab(config)
    service.start()
    yield service
    service.stop()


@pytest.fixture
def elasticsearch(config: HarbourConfig) -> Iterator[Elasticsearch]:
    service = Elasticsearch(config)
    service.start()
    yield service
    service.stop()


@pytest.fixture
def eventually() -> Callable[[Callable[[], Any]], Any]:
    """Return a function that asks again until the answer is truthy, and gives it back; ten seconds at most."""

    def ask(question: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + 10
        while not (answer := question()):
            assert time.monotonic() < deadline, "it never came true"
            time.sleep(0.01)
        return answer

    return ask

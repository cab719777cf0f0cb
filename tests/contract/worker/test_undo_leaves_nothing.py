"""After everything that we made was removed, the four upstreams are what they were before."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.world import settings_for

from common.errors import NotYet
from harbour.config import HarbourConfig
from harbour.world import Harbour
from worker import upstreams
from worker.upstreams import Upstreams
from worker.upstreams.argocd.client import Credentials
from worker.upstreams.jenkins.config_xml import PipelineDefinition

MARKER = "slipway:shop:7f3c"
PASSWORD = "Correct-Horse-Battery-9"
Eventually = Callable[[Callable[[], Any]], Any]


def nothing() -> None:
    """Declare no intent."""


class App:
    """What a provisioning makes on the upstreams, made and removed by the clients."""

    def __init__(self, harbour: Harbour, eventually: Eventually) -> None:
        self.harbour = harbour
        self.clients: Upstreams = upstreams.connect(settings_for(harbour, "sqlite:///unused.db"))
        self._eventually = eventually

    def make(self) -> None:
        self.source_id, source_url = self._fork("templates/Flask_Template", "shop")
        self.helm_id, self.helm_url = self._fork("templates/Helm_Template", "shop_helm")
        definition = PipelineDefinition(
            repository_url=source_url,
            credential_id="gitlab",
            branch="main",
            script_path="Jenkinsfile",
            parameters=(),
            marker=MARKER,
        )
        self.clients.jenkins.pipelines.ensure("dev", "shop_dev", definition=definition, on_create=nothing)
        self._deploy()

    def _fork(self, template: str, path: str) -> tuple[int, str]:
        gitlab = self.clients.gitlab
        fork = gitlab.projects.ensure_fork(template, namespace="dev", path=path, marker=MARKER, on_create=nothing)
        self.harbour.gitlab.background.settle()
        gitlab.projects.ensure_branch_open(fork.id, "main")
        return fork.id, fork.clone_url

    def _deploy(self) -> None:
        config, argocd = self.harbour.config, self.clients.argocd
        reader = Credentials(username=config.gitlab_user, password=config.gitlab_read_token)
        argocd.repositories.ensure(self.helm_url, credentials=reader, on_create=nothing)
        argocd.applications.ensure(
            "shop",
            project="dev",
            repository_url=self.helm_url,
            path=".",
            revision="main",
            release_name="shop",
            helm_parameters={},
            cluster="dev-cluster",
            namespace="dev-shop",
            marker=MARKER,
            on_create=nothing,
        )

    def remove(self) -> None:
        gitlab, jenkins, argocd = self.clients.gitlab, self.clients.jenkins, self.clients.argocd
        self._until_done(lambda: argocd.applications.remove("shop", project="dev", marker=MARKER))
        self._until_done(lambda: argocd.repositories.remove(self.helm_url))
        self._until_done(lambda: jenkins.pipelines.remove("dev", "shop_dev", marker=MARKER))
        self._until_done(lambda: gitlab.removals.remove(self.helm_id, path="dev/shop_helm", marker=MARKER, purge=True))
        self._until_done(lambda: gitlab.removals.remove(self.source_id, path="dev/shop", marker=MARKER, purge=True))
        self.harbour.gitlab.background.settle()

    def snapshot(self) -> dict[str, Any]:
        """Return what the upstreams have, but for the credential template, which is of the whole group."""
        found: dict[str, Any] = self.harbour.snapshot()
        del found["argocd"]["templates"]
        return found

    def _until_done(self, remove: Callable[[], object]) -> None:
        def is_done() -> bool:
            try:
                remove()
            except NotYet:
                return False
            return True

        self._eventually(is_done)


@pytest.fixture
def version() -> str:
    return "18.5.1"


@pytest.fixture
def app(config: HarbourConfig, version: str, eventually: Eventually) -> Iterator[App]:
    harbour = Harbour(dataclasses.replace(config, gitlab_version=version))
    harbour.start()
    yield App(harbour, eventually)
    harbour.stop()


@pytest.mark.parametrize("version", ["17.11.2", "18.0.0", "18.5.1"])
def test_an_app_that_was_made_and_removed_was_never_there(app: App) -> None:
    before = app.snapshot()

    app.make()
    made = app.snapshot()
    app.remove()

    assert all(made[name] != before[name] for name in ("gitlab", "jenkins", "argocd"))
    assert app.snapshot() == before


def test_removing_it_again_changes_nothing(app: App) -> None:
    app.make()
    app.remove()
    writes = len(app.harbour.writes())

    app.remove()

    assert len(app.harbour.writes()) == writes


def test_a_second_life_is_made_and_removed_like_the_first(app: App) -> None:
    before = app.snapshot()

    for _ in range(2):
        app.make()
        app.remove()

    assert app.snapshot() == before


def test_a_member_of_staff_leaves_nothing_but_a_blocked_account(app: App) -> None:
    before = app.snapshot()
    person = {"login": "anna", "password": PASSWORD, "email": "anna@corp.example"}
    gitlab, elasticsearch = app.clients.gitlab, app.clients.elasticsearch
    shown = {"full_name": "Anna Bell", "marker": MARKER}

    user = gitlab.accounts.ensure_user(**person, name="Anna Bell", marker=MARKER, on_create=nothing)
    gitlab.groups.ensure_member("dev", user.id, on_create=nothing)
    elasticsearch.users.ensure(**person, **shown, roles=["dev"], on_create=nothing)
    gitlab.groups.remove_member("dev", user.id)
    gitlab.accounts.block_user(user.id, login="anna", marker=MARKER)
    elasticsearch.users.remove("anna", marker=MARKER)

    after = app.snapshot()
    left = after["gitlab"]["users"].pop()
    assert (left["username"], left["state"]) == ("anna", "blocked")
    assert after == before


@pytest.mark.parametrize("what", ["ids", "a project", "a stray repository"])
def test_a_snapshot_shows_what_is_there_and_not_what_was_counted(app: App, what: str) -> None:
    gitlab = app.harbour.gitlab
    before = gitlab.snapshot()

    if what == "ids":
        gitlab.state.next_id("project")
    elif what == "a project":
        gitlab.state.projects[1].description = "changed"
    else:
        (app.harbour.config.root / "repositories" / "4711.git").mkdir()

    assert (gitlab.snapshot() == before) is (what == "ids")

"""After the read token was changed, one command lets Argo CD read again, whoever registered the repositories."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from pydantic import SecretStr
from support.world import World

from common.config.settings import WorkerSettings
from common.database.models import Job
from common.states import JobState, StepState
from worker import credentials, upstreams
from worker.upstreams.argocd.adapter import read_credentials

pytestmark = pytest.mark.one_database

NEW_TOKEN = "gldt-another-one"


@pytest.fixture
def made(world: World, new_name: Callable[[str], str]) -> Job:
    return world.drive(world.make_app(new_name("app")))


@pytest.fixture
def rotated(world: World) -> Iterator[WorkerSettings]:
    """Change the read token on GitLab and in the settings; afterwards it is as it was."""
    gitlab = world.harbour.gitlab
    config = gitlab.config
    templates = {url: dict(row) for url, row in world.harbour.argocd.templates.items()}
    gitlab.config = dataclasses.replace(config, gitlab_read_token=NEW_TOKEN)
    yield world.settings.model_copy(update={"gitlab_read_token": SecretStr(NEW_TOKEN)})
    gitlab.config = config
    world.harbour.argocd.templates.update(templates)


def _deploys(world: World, made: Job) -> bool:
    job = world.accept_for(made, "deploy", image_tag="1")
    return world.drive(job).state is JobState.SUCCEEDED


def _own_credentials(world: World, made: Job) -> str:
    """Give the app's repository credentials of its own, as a former version registered it."""
    url = str(world.step(made, "register_repository").output["repository_url"])  # type: ignore[index] # it has passed
    for row in world.harbour.argocd.repositories.values():
        if row["repo"] == url:
            row |= {"username": world.settings.gitlab_read_user, "password": "gldt-of-long-ago"}
    return url


def test_a_changed_token_stops_deployments_until_the_templates_are_renewed(
    world: World, made: Job, rotated: WorkerSettings
) -> None:
    assert not _deploys(world, made)
    said: list[str] = []

    assert credentials.renew(upstreams.connect(rotated), rotated, world.context.catalog, said.append)

    assert _deploys(world, made)
    base = world.harbour.gitlab.url
    assert said == [f"renewed: {base}/dev/", f"renewed: {base}/ops/"]


def test_stale_credentials_of_their_own_are_dropped_from_ours_only(world: World, made: Job) -> None:
    url = _own_credentials(world, made)
    theirs = {"repo": f"{world.harbour.gitlab.url}/dev/theirs.git", "type": "git", "username": "t", "password": "t"}
    world.harbour.argocd.repositories[" theirs"] = dict(theirs)
    assert not _deploys(world, made)
    said: list[str] = []

    assert _drop(world, said)

    assert said == [f"dropped: {url}"]
    assert _deploys(world, made)
    assert world.harbour.argocd.repositories.pop(" theirs") == theirs


def test_a_template_that_is_not_there_yet_is_made_before_anything_is_dropped(world: World, made: Job) -> None:
    url, prefix = _own_credentials(world, made), f"{world.harbour.gitlab.url}/dev/"
    del world.harbour.argocd.templates[prefix]
    said: list[str] = []

    assert _drop(world, said)

    assert said == [f"made: {prefix}", f"dropped: {url}"]
    assert _deploys(world, made)


def _drop(world: World, said: list[str]) -> bool:
    ours = read_credentials(world.settings)
    assert ours is not None
    return credentials.drop(world.clients, ours, credentials.registered(world.settings), said.append)


def test_what_could_not_be_done_is_said_and_the_rest_is_done(world: World, made: Job, rotated: WorkerSettings) -> None:
    template = world.harbour.argocd.templates[f"{world.harbour.gitlab.url}/dev/"]
    template["username"] = "somebody-else"
    said: list[str] = []

    assert not credentials.renew(upstreams.connect(rotated), rotated, world.context.catalog, said.append)

    assert [line.partition(":")[0] for line in said] == ["not renewed", "renewed"]
    assert "somebody-else" in said[0]
    assert NEW_TOKEN not in "".join(said)
    assert made.state is JobState.SUCCEEDED


def test_the_first_app_of_a_team_makes_its_template(world: World, made: Job) -> None:
    prefix = f"{world.harbour.gitlab.url}/dev/"

    assert world.harbour.argocd.templates[prefix]["username"] == world.settings.gitlab_read_user
    assert world.step(made, "register_repository").state is StepState.SUCCEEDED


def test_registering_the_repository_of_a_new_app_lists_none(world: World, new_name: Callable[[str], str]) -> None:
    before = len(world.harbour.argocd.calls)

    world.drive(world.make_app(new_name("app")))

    calls = world.harbour.argocd.calls[before:]
    assert not [call for call in calls if call.method == "GET" and call.path.startswith("/api/v1/repositories")]


def test_drift_says_that_argo_cd_can_no_longer_read_the_chart(world: World, made: Job) -> None:
    assert _drift(world, made)["parts"] == []
    _own_credentials(world, made)
    application = f"{world.harbour.argocd.url}/api/v1/applications/{made.input['app']}?project=dev&refresh=normal"
    token = {"Authorization": f"Bearer {world.harbour.config.argocd_token}"}
    requests.get(application, headers=token, timeout=20).raise_for_status()  # as its controller does by itself

    found = _drift(world, made)

    (part,) = found["parts"]
    assert (part["step"], part["state"], found["repairable"]) == ("create_application", "unreadable", False)
    assert "authentication required" in part["reason"]


def _drift(world: World, made: Job) -> dict[str, Any]:
    job = world.drive(world.accept_for(made, "drift"))
    output = world.step(job, "compare_app").output
    assert output is not None
    return output

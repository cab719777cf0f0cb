"""Where an app runs: a new one in a namespace of its team's pattern, one from before in the one that it has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import update
from support.world import World

from common.database.models import App, Job

pytestmark = pytest.mark.one_database

Name = Callable[[str], str]


@pytest.fixture(params=["new", "older"])
def made(request: pytest.FixtureRequest, world: World, new_name: Name) -> Iterator[tuple[Job, str]]:
    """An app and the namespace that it must have."""
    name = new_name("app")
    accepted = world.make_app(name)
    namespace = f"dev-{name}"
    if request.param == "older":
        row = update(App).where(App.id == accepted.app_id).values(namespace=None)
        world.db.transaction(lambda session: session.execute(row))
        namespace = name
    with _allowed(world, namespace):
        yield world.drive(accepted), namespace


@contextmanager
def _allowed(world: World, namespace: str) -> Iterator[None]:
    """Let the project of dev allow one more namespace, as its platform team does for an app from before."""
    projects = world.harbour.argocd.projects
    before, rule = projects["dev"], {"name": "dev-cluster", "namespace": namespace}
    projects["dev"] = before | {"destinations": [*before["destinations"], rule]}
    yield
    projects["dev"] = before


def _application(world: World, job: Job) -> dict[str, Any]:
    spec: dict[str, Any] = world.harbour.argocd.applications[job.input["app"]].spec
    return spec


def test_the_application_goes_there_and_builds_are_told(world: World, made: tuple[Job, str]) -> None:
    job, namespace = made

    build = world.drive(world.accept_build(job))

    assert _application(world, job)["destination"] == {"name": "dev-cluster", "namespace": namespace}
    (run,) = world.harbour.jenkins.builds["dev/" + job.input["app"] + "_dev"]
    told = {each["name"]: each["value"] for each in run.parameters}
    assert (build.state, told["namespace"]) == ("succeeded", namespace)


def test_it_stays_there_whatever_the_catalog_says_later(world: World, made: tuple[Job, str]) -> None:
    job, namespace = made

    drift = world.drive(world.accept_for(job, "drift"))
    world.drive(world.accept_for(job, "reconcile"))

    assert world.step(drift, "compare_app").output == {"drifted": False, "repairable": True, "parts": []}
    assert _application(world, job)["destination"]["namespace"] == namespace
